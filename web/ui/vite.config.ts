// How the dashboard is bundled: one page, hashed assets, nothing inlined, so that the strict Content-Security-Policy of the hub holds.
import { defineConfig } from 'vite';

// `npm run dev` starts the mock hub here; a real hub can stand in by setting UI_HUB.
const hub = process.env.UI_HUB ?? 'http://127.0.0.1:8700';

export default defineConfig({
  base: '/',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    // The polyfill would be one more script for browsers that we do not support anyway.
    modulePreload: { polyfill: false },
    sourcemap: false,
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
