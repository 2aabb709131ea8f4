import { defineConfig } from "vite";

/* One island is one classic script with everything in it: no shared chunk whose address would miss the cache-busting
 * query that Python puts on each file. The mode names the island; build.mjs goes through them. */
export default defineConfig(({ mode }) => ({
  root: import.meta.dirname,
  publicDir: mode === "app" ? "public" : false,
  logLevel: "warn",
  define: { "process.env.NODE_ENV": '"production"' },
  build: {
    outDir: process.env.DIST ?? "../app/static/dist",
    emptyOutDir: false,
    target: ["chrome111", "firefox114", "safari16.4"],
    reportCompressedSize: false,
    // The editor is the only island that takes others' code in; their licences travel with it.
    license: mode === "email-editor" ? { fileName: "email-editor.licenses.md" } : false,
    lib: {
      entry: `src/${mode}.ts`,
      formats: ["iife"],
      name: `bellwether_${mode.replaceAll("-", "_")}`,
      fileName: () => `${mode}.js`,
      cssFileName: mode,
    },
  },
}));
