// Paper is white, and what is folded cannot be opened there.
const root = document.documentElement;
let theme;
addEventListener("beforeprint", () => {
  theme = root.dataset.theme;
  root.dataset.theme = "light";
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => { root.dataset.theme = theme; });
