// Copies third-party browser files, unmodified, from node_modules into app/static/vendor (or into $VENDOR).
// Icons: the drawings named in icons.txt are gathered into one sprite, each as npm ships it, so that a page loads one file.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const here = import.meta.dirname;
const target = process.env.VENDOR ?? join(here, "..", "app", "static", "vendor");

// Where a package ships no licence file, its licence text is kept in licenses/.
const packages = {
  "tabler-core": { from: "@tabler/core", files: ["dist/css/tabler.min.css", "dist/js/tabler.min.js"] },
  "tabler-icons": { from: "@tabler/icons", files: ["LICENSE"] },
  "htmx.org": { from: "htmx.org", files: ["dist/htmx.min.js", "LICENSE"] },
  echarts: { from: "echarts", files: ["dist/echarts.min.js", "LICENSE", "NOTICE", "licenses/LICENSE-d3"] },
};

rmSync(target, { recursive: true, force: true });
for (const [name, { from, files }] of Object.entries(packages)) {
  const folder = join(target, name);
  mkdirSync(folder, { recursive: true });
  for (const file of files) {
    copyFileSync(join(here, "node_modules", from, file), join(folder, basename(file)));
  }
  const licence = join(here, "licenses", name);
  if (existsSync(licence)) copyFileSync(licence, join(folder, "LICENSE"));
  const { version } = JSON.parse(readFileSync(join(here, "node_modules", from, "package.json"), "utf8"));
  writeFileSync(join(folder, "VERSION"), `${from} ${version}\n`);
}

const names = readFileSync(join(here, "icons.txt"), "utf8").split(/\s+/).filter(Boolean).sort();
const symbols = [...new Set(names)].map((name) => {
  const svg = readFileSync(join(here, "node_modules/@tabler/icons/icons/outline", `${name}.svg`), "utf8");
  const drawing = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>")).trim();
  return `<symbol id="${name}" viewBox="0 0 24 24">${drawing.replace(/\s*\n\s*/g, "")}</symbol>`;
});
const sprite = `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
writeFileSync(join(target, "tabler-icons", "sprite.svg"), sprite);
