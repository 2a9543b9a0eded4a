"use strict";
// Filters of the page of answers: it hides articles, and changes nothing else.
(() => {
  const form = document.querySelector(".filters");
  const cards = [...document.querySelectorAll("article")];
  const texts = cards.map((card) => card.textContent.toLowerCase());
  const said = form.querySelector("output");
  const fields = ["tier", "outcome", "label", "failure"];
  const value = (name) => (form.elements[name] ? form.elements[name].value : "");
  const apply = () => {
    const wanted = fields.map((name) => [name, value(name)]).filter((pair) => pair[1]);
    const words = value("text").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    cards.forEach((card, place) => {
      const fits =
        wanted.every(([name, want]) => card.dataset[name] === want) &&
        words.every((word) => texts[place].includes(word));
      card.hidden = !fits;
      shown += fits;
    });
    said.textContent = `${shown.toLocaleString("en")} of ${cards.length.toLocaleString("en")} answers`;
  };
  const move = (step) => {
    const seen = cards.filter((card) => !card.hidden);
    const here = seen.indexOf(document.activeElement);
    const next = seen[here < 0 ? (step > 0 ? 0 : seen.length - 1) : here + step];
    if (next) next.focus();
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
    if (event.key === "/") {
      event.preventDefault();
      form.elements.text.focus();
    }
  });
  form.hidden = false;
  apply();
})();
