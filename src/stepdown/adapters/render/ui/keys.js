// One key per answer, where a page says `data-key`; and a page that is being made is asked again.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input:not([type=hidden]), select, textarea")) return;
  const key = event.key.toLowerCase();
  const wanted = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  if (!wanted) return;
  event.preventDefault();
  document.querySelectorAll("[data-key]").forEach((one) => one.removeAttribute("data-key"));
  wanted.click();
});
const again = document.querySelector("[data-again-ms]");
if (again) setTimeout(() => location.reload(), Number(again.dataset.againMs));
