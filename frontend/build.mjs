// Builds every island of src/ into app/static/dist (or into $DIST, which check-build.sh uses).
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";

const islands = ["app", "charts", "segment-builder", "email-editor"];

process.env.NODE_ENV = "production";
process.chdir(import.meta.dirname);
const dist = process.env.DIST ?? join(import.meta.dirname, "..", "app", "static", "dist");
rmSync(dist, { recursive: true, force: true });
for (const mode of islands) {
  await build({ configFile: "vite.config.ts", mode });
}
