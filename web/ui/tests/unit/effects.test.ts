import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectsOf } from '../../src/shell/effects.ts';

test('what is away is named once, with all that it is missed for', () => {
  assert.equal(effectsOf([]), '');
  assert.equal(effectsOf(['redis', 'redis_alerts']), 'Degraded: Redis is away, so other dashboards show old values and alerts wait to be told there.');
  assert.match(effectsOf(['postgres', 'edge']), /^Degraded: the history is away, so charts have only .*; the public edge cannot be reached, so its page stands still\.$/);
  assert.equal(effectsOf(['lock']), 'Degraded: lock does not work just now.');
});
