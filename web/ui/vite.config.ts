// How the dashboard is bundled: one page, hashed assets, nothing inlined, so that the strict Content-Security-Policy of the hub holds.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

/** Whom `npm run dev` asks for everything but the page: what `make run` starts. */
const hub = process.env.UI_HUB ?? 'http://127.0.0.1:8000';

/** Below this a compressed form saves less than a packet. */
const COMPRESSED_BYTES_MIN = 1000;

/** htmx can evaluate code from attributes. We switch that off (index.html), and here the call leaves the bundle altogether. */
const withoutEval: Plugin = {
  name: 'htmx-without-eval',
  transform(code, id) {
    if (!id.includes('htmx.esm.js')) return null;
    const call = 'return eval(str)';
    if (!code.includes(call)) throw new Error('htmx changed: look where it evaluates code now');
    return { code: code.replace(call, "throw new Error('eval is off')"), map: null };
  },
};

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
  plugins: [withoutEval, lean, compressed],
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
