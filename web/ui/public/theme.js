// Sets the theme before the first paint, so that a dark page never flashes white. Loaded as a plain blocking script for that reason.
(function () {
  'use strict';
  var stored = null;
  try {
    stored = localStorage.getItem('theme');
  } catch {
    // Storage can be switched off; then the system decides.
  }
  var dark = stored === 'dark' || (stored !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
