// Before the page's own scripts, plain and blocking. The live connection, so that the fleet is on its way while the browser still reads
// styles and scripts: src/live/client.ts takes it over, with what has come. And the theme, so that a dark page never flashes white.
(function () {
  'use strict';
  try {
    // As main.ts would ask.
    var machine = location.pathname.split('/machines/')[1];
    var said = JSON.stringify({ type: 'subscribe', machines: [machine ? decodeURIComponent(machine) : '*'], detail: machine ? 'full' : 'summary', rate_ms: 1000 });
    var early = (window.early = { socket: new WebSocket(location.origin.replace('http', 'ws') + '/ws?subscribe=' + encodeURIComponent(said)), said: said, messages: [] });
    early.socket.onmessage = function (event) {
      // A page whose scripts do not come wants no more of it.
      if (early.messages.push(event) > 20) early.socket.close();
    };
  } catch {
    // An address that cannot be read names no machine.
  }
  var stored = null;
  try {
    stored = localStorage.getItem('theme');
  } catch {
    // Storage can be switched off; then the system decides.
  }
  var dark = stored === 'dark' || (stored !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
