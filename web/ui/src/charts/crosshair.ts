// The time under the pointer, told to what is no uPlot chart (the heat strip); uPlot charts share it among themselves by their sync key.

type Listener = (atSeconds: number | null) => void;

const listeners = new Set<Listener>();

export const SYNC_KEY = 'machine';

export function onCrosshair(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function moveCrosshair(atSeconds: number | null): void {
  for (const listener of listeners) listener(atSeconds);
}
