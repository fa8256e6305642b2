// One rule: read, made, changed or deleted, with what it would have done in the last day beside it.

import './rules.css';
import template from './editor.html?raw';
import { api, ApiError, messageOf, type FieldError } from '../api.ts';
import { element, find, sayFailed } from '../dom.ts';
import type { Metric, Rule } from '../protocol.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import { navigate, rulePath } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { bodyOf, draftOf, keeperOf, NEW_RULE, type Draft, type FieldErrors } from './form.ts';
import { PreviewPanel } from './preview.ts';
import { bestScale, fromBase, scalesOf, toBase, type Scale } from './scale.ts';

/** Nobody wants a question asked for every key. */
const TYPING_MS = 500;
/** No rule can be called so. */
export const NEW_NAME = '~new';

export function mountEditor(place: HTMLElement, context: Context, name: string): Screen {
  place.innerHTML = template;
  const editor = new Editor(place, name);
  const query = new URLSearchParams(location.search);
  void editor.start(query.get('copy'), query.get('severity'));
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: name === NEW_NAME ? 'New rule' : name,
    onTheme: () => editor.preview.retheme(),
    onQuery: () => {},
    leave: () => editor.leave(),
  };
}

class Editor {
  readonly preview: PreviewPanel;
  private readonly place: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly name: string;
  private readonly abort = new AbortController();
  private metrics = new Map<string, Metric>();
  private scale: Scale = { unit: '', factor: 1, offset: 0 };
  private typing: number | undefined;

  constructor(place: HTMLElement, name: string) {
    this.place = place;
    this.name = name;
    this.form = find(place, 'form');
    this.preview = new PreviewPanel(find(place, '.rule-preview'));
    find(place, '[data-title]').textContent = this.isNew ? 'New rule' : name;
  }

  private get isNew(): boolean {
    return this.name === NEW_NAME;
  }

  /** A new rule may be a copy of another, at another severity. */
  async start(copy: string | null, severity: string | null): Promise<void> {
    const { signal } = this.abort;
    const read = this.isNew ? copy : this.name;
    try {
      const [metrics, rule] = await Promise.all([api.metrics(signal), read === null ? null : api.rule(read, signal)]);
      if (signal.aborted) return;
      this.metrics = new Map(metrics.map((metric) => [metric.name, metric]));
      find<HTMLElement>(this.place, '[data-failed]').hidden = true;
      this.fill(rule, severity);
      this.listen();
      this.changed();
    } catch (error) {
      if (signal.aborted) return;
      const failed = find<HTMLElement>(this.place, '[data-failed]');
      if (error instanceof ApiError && error.status === 404) {
        failed.hidden = false;
        failed.replaceChildren(`No rule is called ${read}. `, element('a', { href: '/rules' }, 'Back to the rules'));
      } else {
        sayFailed(failed, `The ${read === null ? 'metrics' : 'rule'} could not be read. ${messageOf(error)}`, () => void this.start(copy, severity));
      }
    } finally {
      find<HTMLElement>(this.place, '[data-loading]').hidden = true;
    }
  }

  leave(): void {
    window.clearTimeout(this.typing);
    this.abort.abort();
    this.preview.destroy();
  }

  private fill(rule: Rule | null, severity: string | null): void {
    const { form, place } = this;
    find(form, 'datalist').replaceChildren(...[...this.metrics.values()].map((metric) => element('option', { value: metric.name }, metric.display)));
    const draft = rule === null ? NEW_RULE : draftOf(rule, this.unitOf(rule.metric));
    this.setScales(draft.metric, draft.input, draft.unit);
    for (const [field, value] of Object.entries(draft)) {
      const input = form.elements.namedItem(field);
      if (input instanceof HTMLInputElement && input.type === 'checkbox') input.checked = value === true;
      else if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement) input.value = String(value);
    }
    if (this.isNew) this.input('name').value = severity === null ? '' : `${draft.name}-${severity}`;
    else this.input('name').readOnly = true;
    if (severity !== null) find<HTMLSelectElement>(form, '[name="severity"]').value = severity;
    const isFile = !this.isNew && (rule === null || keeperOf(rule) !== 'own');
    const copyPath = `${rulePath(NEW_NAME)}?copy=${encodeURIComponent(this.name)}`;
    // Each rule has one severity: a second threshold is a rule beside it.
    const other = draft.severity === 'critical' ? 'warning' : 'critical';
    const level = find<HTMLAnchorElement>(form, '[data-level]');
    level.hidden = this.isNew || isFile;
    level.textContent = `Add ${other === 'critical' ? 'a critical' : 'a warning'} level`;
    level.href = `${copyPath}&severity=${other}`;
    if (isFile) {
      for (const part of form.querySelectorAll('fieldset')) part.disabled = true;
      find<HTMLElement>(place, '[data-from-file]').hidden = false;
      find<HTMLAnchorElement>(place, '[data-copy]').href = copyPath;
      find<HTMLElement>(form, '.form-buttons').hidden = true;
    }
    find<HTMLElement>(form, '[data-delete]').hidden = this.isNew || isFile;
    find<HTMLElement>(place, '[data-editor]').hidden = false;
    if (this.isNew) this.input('name').focus();
  }

  private listen(): void {
    const { signal } = this.abort;
    this.form.addEventListener('input', (event) => {
      const field = event.target instanceof HTMLElement ? event.target.getAttribute('name') : null;
      if (field === 'metric' || field === 'input') this.follow();
      else if (field === 'unit') this.rescale();
      window.clearTimeout(this.typing);
      this.typing = window.setTimeout(() => this.changed(), TYPING_MS);
    }, { signal });
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.save();
    }, { signal });
    const dialog = find<HTMLDialogElement>(this.place, '[data-confirm]');
    find(this.form, '[data-delete]').addEventListener('click', () => dialog.showModal(), { signal });
    find(dialog, '[data-keep]').addEventListener('click', () => dialog.close(), { signal });
    find(dialog, '[data-really]').addEventListener('click', () => void this.remove(dialog), { signal });
  }

  private input(field: keyof Draft): HTMLInputElement {
    return find<HTMLInputElement>(this.form, `[name="${field}"]`);
  }

  private unitOf(metric: string): string {
    return this.metrics.get(metric)?.unit ?? '';
  }

  private read(): Draft {
    const text = (field: keyof Draft): string => this.input(field).value;
    return {
      name: text('name'), summary: text('summary'), metric: text('metric'), input: text('input'), operator: text('operator'), threshold: text('threshold'), unit: text('unit'), clear: text('clear'),
      for_s: text('for_s'), no_data_s: text('no_data_s'), severity: text('severity'), enabled: this.input('enabled').checked, machines: text('machines'), tags: text('tags'), labels: text('labels'), group_by: text('group_by'),
    };
  }

  private setScales(metric: string, input: string, wanted: string): void {
    const scales = scalesOf(metric, this.unitOf(metric), input);
    this.scale = scales.find(({ unit }) => unit === wanted) ?? bestScale(scales, 1);
    const select = find<HTMLSelectElement>(this.form, '[name="unit"]');
    select.replaceChildren(...scales.map(({ unit }) => element('option', { value: unit }, unit === '' ? 'plain number' : unit)));
    select.value = this.scale.unit;
    const known = this.metrics.get(metric);
    find(this.form, '[data-metric-hint]').textContent = known?.display ?? (metric === '' ? '' : 'Not in the catalogue: taken as it is sent.');
  }

  /** Another metric has other units; the numbers stay what was typed. */
  private follow(): void {
    this.setScales(this.input('metric').value, this.input('input').value, this.scale.unit);
  }

  /** Another unit of the same metric: the numbers follow, so that the rule stays the same. */
  private rescale(): void {
    const scales = scalesOf(this.input('metric').value, this.unitOf(this.input('metric').value), this.input('input').value);
    const next = scales.find(({ unit }) => unit === this.input('unit').value);
    if (next === undefined) return;
    for (const field of ['threshold', 'clear'] as const) {
      const input = this.input(field);
      if (input.value.trim() !== '' && Number.isFinite(Number(input.value))) input.value = String(fromBase(next, toBase(this.scale, Number(input.value))));
    }
    this.scale = next;
  }

  /** What was typed so far, judged; a rule without a name can be tried out all the same. */
  private changed(): void {
    const draft = this.read();
    const unit = this.unitOf(draft.metric);
    const made = bodyOf(draft, unit);
    this.showErrors('errors' in made ? made.errors : {});
    if ('errors' in made) return this.preview.pause('Waiting for a rule that can be read.');
    void this.preview.show(made.body, unit, (fields) => this.showErrors(byField(fields)));
  }

  private async save(): Promise<void> {
    window.clearTimeout(this.typing);
    const draft = this.read();
    const made = bodyOf(draft, this.unitOf(draft.metric));
    const errors: FieldErrors = 'errors' in made ? made.errors : {};
    if (draft.name.trim() === '') errors.name = 'Give the rule a name.';
    this.showErrors(errors);
    if (Object.keys(errors).length > 0 || 'errors' in made) return this.focusFirst();
    const button = find<HTMLButtonElement>(this.form, '[type="submit"]');
    button.disabled = true;
    try {
      if (this.isNew) await api.createRule(made.body);
      else await api.updateRule(this.name, made.body);
      navigate('/rules');
    } catch (error) {
      const fields = error instanceof ApiError ? byField(error.fields) : {};
      // A name that is taken is about the name, though the answer has no fields.
      if (error instanceof ApiError && error.status === 409) fields.name = error.message;
      this.showErrors(fields);
      find(this.form, '[data-fault]').textContent = Object.keys(fields).length === 0 ? messageOf(error) : 'The rule was not saved; see the marked fields.';
      this.focusFirst();
    } finally {
      button.disabled = false;
    }
  }

  private async remove(dialog: HTMLDialogElement): Promise<void> {
    try {
      await api.deleteRule(this.name);
      dialog.close();
      navigate('/rules');
    } catch (error) {
      find(dialog, '[data-confirm-fault]').textContent = messageOf(error);
    }
  }

  private showErrors(errors: FieldErrors): void {
    find(this.form, '[data-fault]').textContent = '';
    for (const field of this.form.querySelectorAll<HTMLElement>('.field')) {
      const input = field.querySelector<HTMLElement>('[name]');
      const said = errors[(input?.getAttribute('name') ?? '') as keyof Draft];
      const id = `${input?.id ?? ''}-error`;
      field.querySelector('.field-error')?.remove();
      input?.toggleAttribute('aria-invalid', said !== undefined);
      if (said === undefined) {
        input?.removeAttribute('aria-describedby');
        continue;
      }
      input?.setAttribute('aria-invalid', 'true');
      input?.setAttribute('aria-describedby', id);
      field.append(element('p', { class: 'field-error', id }, said));
    }
  }

  private focusFirst(): void {
    this.form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }
}

/** The API's sentences begin with the rule's name, which the field need not repeat. */
function byField(fields: readonly FieldError[]): FieldErrors {
  return Object.fromEntries(fields.map(({ field, detail }) => [field, detail.replace(/^rule [^:]*: /, '').replace(/^./, (first) => first.toUpperCase())]));
}
