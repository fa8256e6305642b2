// What a rule would have done in the last day: a sentence, the worst machine's chart with threshold and marks, and who would have fired.

import { api, ApiError, messageOf, type FieldError } from '../api.ts';
import { ChartBox, lineOf } from '../charts/box.ts';
import { element, find } from '../dom.ts';
import { ago, count, duration, kindOf, type Quantity } from '../format.ts';
import type { RuleBody, RulePreview } from '../protocol.ts';
import { machinePath } from '../router.ts';

const PARTIAL: Record<RulePreview['partial'][number], string> = {
  deadline: 'there was no time for more',
  bounds: 'there are more machines or samples than a preview looks at',
  history: 'the history of some machine could not be read',
};

/** Above the threshold there must be room for its line. */
const HEADROOM = 1.15;

export class PreviewPanel {
  private readonly panel: HTMLElement;
  private request: AbortController | null = null;
  private box: ChartBox | null = null;
  private kind: Quantity | null = null;

  constructor(panel: HTMLElement) {
    this.panel = panel;
  }

  async show(body: RuleBody, unit: string, onErrors: (fields: readonly FieldError[]) => void): Promise<void> {
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    this.state('Trying it out…');
    this.box?.setLoading(true);
    try {
      const preview = await api.previewRule(body, request.signal);
      if (!request.signal.aborted) this.accept(body, unit, preview);
    } catch (error) {
      if (request.signal.aborted) return;
      const fields = error instanceof ApiError ? error.fields : [];
      onErrors(fields);
      this.pause(fields.length > 0 ? 'Waiting for a rule that makes sense.' : messageOf(error));
    }
  }

  /** Nothing can be tried out just now. */
  pause(why: string): void {
    this.request?.abort();
    this.box?.setLoading(false);
    this.state(why);
  }

  retheme(): void {
    this.box?.retheme();
  }

  destroy(): void {
    this.request?.abort();
    this.box?.destroy();
  }

  private state(text: string): void {
    find(this.panel, '[data-preview-state]').textContent = text;
  }

  private accept(body: RuleBody, unit: string, preview: RulePreview): void {
    this.state('');
    find(this.panel, '[data-words]').replaceChildren(...sentence(preview));
    this.draw(body, unit, preview);
    const rows = preview.listed.map(({ id, fired, firing_s }) =>
      element('li', {}, element('a', { class: 'machine-link', href: machinePath(id) }, id), element('span', { class: 'muted' }, `${times(fired)}, ${duration(firing_s)} in all`)));
    find(this.panel, '[data-listed]').replaceChildren(...rows);
  }

  private draw(body: RuleBody, unit: string, { worst, from, to, fired, oldest }: RulePreview): void {
    const kind = body.input === 'minute_count' ? 'count' : kindOf(body.metric, worst?.unit ?? unit);
    if (worst === null) {
      this.box?.destroy();
      this.box = null;
      find(this.panel, '[data-chart]').replaceChildren();
      return;
    }
    if (this.box === null || kind !== this.kind) {
      this.box?.destroy();
      this.kind = kind;
      this.box = new ChartBox({ title: 'Worst machine', kind }, element('h3', { class: 'chart-title', 'data-worst': '' }));
      find(this.panel, '[data-chart]').replaceChildren(this.box.node);
    }
    const labels = Object.values(worst.labels).join(', ');
    find(this.box.node, '[data-worst]').replaceChildren(fired === 0 ? 'Closest: ' : 'Worst: ', element('a', { class: 'machine-link', href: machinePath(worst.machine) }, worst.machine), labels === '' ? '' : ` ${labels}`);
    const known = [...worst.v, ...(worst.max ?? [])].filter((value) => value !== null);
    const top = Math.max(body.threshold, ...known) * HEADROOM;
    const marks = worst.alerts.map(({ since, resolved }) => ({ fromMs: since, toMs: resolved, severity: body.severity }));
    const column = lineOf(worst.machine, 0, worst, 'soft');
    this.box.draw({ columns: [column], fromMs: Math.max(from, oldest ?? from), toMs: to, stepMs: worst.step_ms, yMax: kind === 'celsius' ? null : top > 0 ? top : null }, [{ value: body.threshold, severity: body.severity }], marks);
  }
}

const times = (fired: number): string => (fired === 1 ? 'once' : `${count(fired)} times`);
const machinesWord = (machines: number): string => (machines === 1 ? '1 machine' : `${count(machines)} machines`);

function sentence({ fired, machines, partial, tier, oldest, to, from }: RulePreview): (Node | string)[] {
  if (machines.matching === 0) return ['No machine has a series that this rule applies to.'];
  const parts: (Node | string)[] = [];
  if (fired === 0) parts.push(element('strong', {}, 'Would not have fired'), ` on any of ${machinesWord(machines.examined)}.`);
  else parts.push('Would have fired ', element('strong', {}, times(fired)), ' on ', element('strong', {}, machinesWord(machines.fired)), ` of ${count(machines.examined)}.`);
  if (oldest !== null && oldest - from > 600_000) parts.push(` The history begins ${ago(oldest, to)}.`);
  if (tier === 'minute') parts.push(' Judged by minutes.');
  if (partial.length > 0) parts.push(` Not everything was looked at (${machines.examined} of ${machinesWord(machines.matching)}): ${partial.map((why) => PARTIAL[why]).join('; ')}.`);
  return parts;
}
