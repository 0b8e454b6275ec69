// The page is whole without this: copy buttons, a filter for the navigation, and a mark on the section in view.
"use strict";

for (const panel of document.querySelectorAll(".panel")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(panel.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  if (navigator.clipboard) panel.querySelector("figcaption").append(button);
}

const navigation = document.getElementById("navigation");
const links = [...navigation.querySelectorAll("li a")];

const filter = document.createElement("input");
filter.type = "search";
filter.placeholder = "Filter";
filter.setAttribute("aria-label", "Filter the navigation");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const link of links) {
    const text = (link.textContent + " " + link.getAttribute("href")).toLowerCase();
    link.parentElement.hidden = !words.every((word) => text.includes(word));
  }
  for (const group of navigation.querySelectorAll("section")) {
    group.hidden = !group.querySelector("li:not([hidden])");
  }
});
navigation.querySelector(".close").after(filter);

const byId = new Map(links.map((link) => [link.hash.slice(1), link]));
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links) link.removeAttribute("aria-current");
    byId.get(entry.target.id).setAttribute("aria-current", "true");
  }
}, { rootMargin: "-20% 0px -75% 0px" });
for (const id of byId.keys()) watcher.observe(document.getElementById(id));
