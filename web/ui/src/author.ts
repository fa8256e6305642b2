// What this reader calls themselves: it stands in the audit record beside what they change, and signs their silences. Kept in the browser.

const KEY = 'silence-author';

export function author(): string {
  try {
    return localStorage.getItem(KEY) ?? '';
  } catch {
    // Without storage one is nameless.
    return '';
  }
}

export function setAuthor(name: string): void {
  try {
    localStorage.setItem(KEY, name.trim());
  } catch {
    // As above.
  }
}

/** For a request that changes something. A header holds no letters beyond Latin-1 as they are, so they go as their UTF-8 bytes. */
export function authorHeader(): Record<string, string> {
  const name = author();
  return name === '' ? {} : { 'x-author': String.fromCharCode(...new TextEncoder().encode(name)) };
}
