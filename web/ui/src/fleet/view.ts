// What the fleet screen shows, and how that lives in the address. Pure.

import { DEFAULT_SORT, firstDirection, isSortKey, isStatusFilter, type Filter, type Sort } from './order.ts';

/** How the machines are laid out. */
export interface Arrangement {
  isCards: boolean;
  /** Name of a tag; empty: no groups. */
  group: string;
}

export interface View {
  filter: Filter;
  sort: Sort;
  arrangement: Arrangement;
}

export function fromQuery(query: URLSearchParams): View {
  const status = query.get('status');
  const key = query.get('sort');
  const sort: Sort = isSortKey(key) ? { key, direction: query.get('dir') === 'ascending' ? 'ascending' : query.get('dir') === 'descending' ? 'descending' : firstDirection(key) } : DEFAULT_SORT;
  return {
    filter: { text: query.get('q') ?? '', status: isStatusFilter(status) ? status : 'all', tag: query.get('tag') ?? '' },
    sort,
    arrangement: { isCards: query.get('view') === 'cards', group: query.get('group') ?? '' },
  };
}

export function toQuery({ filter, sort, arrangement }: View): string {
  const query = new URLSearchParams();
  if (filter.text !== '') query.set('q', filter.text);
  if (filter.status !== 'all') query.set('status', filter.status);
  if (filter.tag !== '') query.set('tag', filter.tag);
  if (sort.key !== DEFAULT_SORT.key) query.set('sort', sort.key);
  if (sort.direction !== firstDirection(sort.key)) query.set('dir', sort.direction);
  if (arrangement.isCards) query.set('view', 'cards');
  if (arrangement.group !== '') query.set('group', arrangement.group);
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}
