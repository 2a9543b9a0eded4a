// What an accessibility checker looks for, on the page as it is drawn. Returns a list of problems.
// Contrast: WCAG 2.2, 1.4.3 (4.5, large text 3) and 1.4.11 (3 for edges of controls).
(() => {
  const problems = [];
  const say = (what, node) => problems.push(`${what}: ${node.outerHTML.slice(0, 120)}`);
  const shown = (node) => node.getClientRects().length > 0 && !node.closest(".sr, .skip");
  const parse = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    return found.length > 3 ? found : [...found, 1];
  };
  const light = ([r, g, b]) => {
    const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ratio = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(node) || !shown(node)) continue;
    if (node.closest("script, style, title, desc, :disabled")) continue;
    seen.add(node);
    const style = getComputedStyle(node);
    const colour = parse(node.closest("svg") ? style.fill : style.color);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const got = ratio(colour, behind(node.closest("svg") ? node.closest("svg") : node));
    if (got < needed) say(`contrast ${got.toFixed(2)} below ${needed}`, node);
  }
  for (const node of document.querySelectorAll("svg .dot, svg .bar-spent, svg .line-base")) {
    if (!shown(node)) continue;
    const style = getComputedStyle(node);
    const paint = style.fill !== "none" ? style.fill : style.stroke;
    const got = ratio(parse(paint), behind(node.closest("svg")));
    if (got < 3) say(`contrast of a mark ${got.toFixed(2)} below 3`, node);
  }
  for (const node of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!node.labels.length) say("a field without a label", node);
    const got = ratio(parse(getComputedStyle(node).borderTopColor), behind(node.parentElement));
    if (got < 3) say(`contrast of an edge ${got.toFixed(2)} below 3`, node);
  }
  for (const node of document.querySelectorAll("button, a[href], summary")) {
    if (!node.textContent.trim() && !node.ariaLabel) say("a control without a name", node);
    const box = node.getBoundingClientRect();
    const inline = getComputedStyle(node).display === "inline";
    if (shown(node) && !inline && Math.min(box.width, box.height) < 24) say("a target under 24 px", node);
  }
  for (const node of document.querySelectorAll("svg[role=img]"))
    if (!document.getElementById(node.getAttribute("aria-labelledby")?.split(" ")[0])) say("a picture without a name", node);
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  ids.filter((id, place) => ids.indexOf(id) !== place).forEach((id) => problems.push(`an id twice: ${id}`));
  for (const name of ["main", "header", "nav", "footer", "h1"])
    if (document.querySelectorAll(`body > ${name}, body > header > ${name}, main > ${name}`).length !== 1)
      problems.push(`not exactly one <${name}>`);
  if (!document.documentElement.lang) problems.push("no language");
  if (!document.title) problems.push("no title");
  const levels = [...document.querySelectorAll("h1, h2, h3")].map((node) => Number(node.tagName[1]));
  levels.forEach((level, place) => {
    if (place && level > levels[place - 1] + 1) problems.push(`a heading of level ${level} after ${levels[place - 1]}`);
  });
  for (const node of document.querySelectorAll("table"))
    if (!node.caption) say("a table without a caption", node);
  for (const node of document.querySelectorAll("[tabindex]"))
    if (node.tabIndex > 0) say("a tab index above 0", node);
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) problems.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`);
  return problems;
})()
