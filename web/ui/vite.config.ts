// How the dashboard is bundled: one page, hashed assets, nothing inlined, so that the strict Content-Security-Policy of the hub holds.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { defineConfig, minifySync, type Plugin } from 'vite';

/** Whom `npm run dev` asks for everything but the page: what `make run` starts. */
const hub = process.env.UI_HUB ?? 'http://127.0.0.1:8000';

/** Below this a compressed form saves less than a packet. */
const COMPRESSED_BYTES_MIN = 1000;

/** Rewrites places of a library's module, which must be there. */
function rewrite(name: string, module: string, pairs: [place: string | RegExp, instead: string][]): Plugin {
  return {
    name,
    transform(code, id) {
      if (!id.includes(module)) return null;
      for (const [place] of pairs) if (code.split(place).length < 2) throw new Error(`${module} changed: look where it has \`${String(place)}\` now`);
      return { code: pairs.reduce((made, [place, instead]) => made.replace(place, instead), code), map: null };
    },
  };
}

/** htmx can evaluate code from attributes. We switch that off (index.html), and here the call leaves the bundle altogether. */
const withoutEval = rewrite('htmx-without-eval', 'htmx.esm.js', [['return eval(str)', "throw new Error('eval is off')"]]);

/**
 * Alpine's guard against templates that reach for globals reads every property of the window, which makes the browser build all that it has
 * ready for scripts: a quarter of the work of a start. It is done once the first screen stands. An expression is parsed once, not each time
 * that it is evaluated. And what no template of ours uses is left out.
 */
const quickAlpine = rewrite('quick-alpine', '@alpinejs/csp', [
  ['Object.getOwnPropertyNames(globalThis).forEach((key) => {', 'setTimeout(() => Object.getOwnPropertyNames(globalThis).forEach(guard), 3000);\nfunction guard(key) {'],
  ['  globals.add(value);\n});', '  globals.add(value);\n}'],
  ['function generateRuntimeFunction(expression) {', 'const runtimes = new Map();\nfunction generateRuntimeFunction(expression) {\n  if (!runtimes.has(expression)) runtimes.set(expression, parseRuntimeFunction(expression));\n  return runtimes.get(expression);\n}\nfunction parseRuntimeFunction(expression) {'],
  [/^(?:directive|magic)\("(?!(?:bind|cloak|data|for|model|on|show|store|text)")\w+",/gm, 'void ('],
  [/^warnMissingPlugin\w+\(".*;$/gm, ''],
]);

/** Ways to draw a line that no chart of ours has: without a name the bundler leaves them out. */
const leanPlot = rewrite('lean-uplot', 'uPlot.esm.js', [
  ['(paths.stepped = stepped);', ''],
  [/\(paths\.bars\s*= bars\);/, ''],
  [/\(paths\.spline\s*= monotoneCubic\);/, ''],
  ['uPlot.join = join;', ''],
]);

/** What indents the templates says nothing to a browser. */
const lean: Plugin = {
  name: 'lean-templates',
  transform: (code, id) => (id.endsWith('.html?raw') ? { code: code.replace(/\\n\s*/g, ' '), map: null } : null),
  transformIndexHtml: (html) => html.replace(/\n\s+/g, '\n'),
};

/** The hub serves these forms as they are: compressing once here costs no time there. */
const compressed: Plugin = {
  name: 'compressed-forms',
  apply: 'build',
  closeBundle() {
    writeFileSync('dist/early.js', minifySync('early.js', readFileSync('public/early.js', 'utf8')).code);
    const files = readdirSync('dist', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const entry of files) {
      const path = join(entry.parentPath, entry.name);
      const bytes = readFileSync(path);
      if (bytes.length < COMPRESSED_BYTES_MIN) continue;
      writeFileSync(`${path}.br`, brotliCompressSync(bytes));
      writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
    }
  },
};

export default defineConfig({
  base: '/',
  plugins: [withoutEval, quickAlpine, leanPlot, lean, compressed],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    // All screens' styles in one file are a quarter smaller than the same in one per screen.
    cssCodeSplit: false,
    // The polyfill would be one more script for browsers that we do not support anyway.
    modulePreload: { polyfill: false },
    sourcemap: false,
    rolldownOptions: {
      output: {
        // What is small goes together: texts that are alike compress once, and a request costs more than a kilobyte.
        codeSplitting: {
          // What a group needs stays where it is: the first screen must not wait for charts.
          includeDependenciesRecursively: false,
          groups: [
            { name: 'first', test: /src\/(main|screen|styles|format|dom|api|author|levels|router|preferences|live|shell\/(?!palette)|fleet\/(?!add)|alerts\/present|charts\/(spark|palette))|alpinejs|preload-helper|rolldown.runtime/ },
            { name: 'charted', test: /src\/(charts|machine|compare|rules\/(editor|preview))|node_modules\/uplot/ },
            { name: 'lists', test: /src\/(audit|settings|pipeline|rules|shell\/palette|fleet\/add|alerts\/silences)/ },
          ],
        },
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': hub,
      '/fragments': hub,
      '/ws': { target: hub, ws: true },
    },
  },
});
