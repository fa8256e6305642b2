import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '../../src/api.ts';
import { PastProcesses, ProcessLog, topLine } from '../../src/machine/processes.ts';
import type { Processes } from '../../src/protocol.ts';

const list = (time: number): Processes => ({ time, by_cpu: [], by_memory: [] });

test('the list of an instant is the one that is nearest, and none beyond their reach', () => {
  const log = new ProcessLog();
  for (const time of [100_000, 110_000, 120_000, 120_000, 90_000]) log.add(list(time));
  log.add(null);
  assert.equal(log.newest?.time, 120_000);
  assert.deepEqual([95_000, 104_000, 106_000, 134_000].map((at) => log.at(at)?.time), [100_000, 100_000, 110_000, 120_000]);
  assert.deepEqual([log.at(80_000), log.at(136_000)], [null, null]);
});

test('the log of processes is bounded', () => {
  const log = new ProcessLog();
  for (let second = 1; second <= 1000; second += 1) log.add(list(second * 1000));
  assert.equal(log.at(100_000), null);
  assert.equal(log.at(900_000)?.time, 900_000);
});

test('the line below a chart names three, when they were, or why there are none', () => {
  const processes = ['a', 'b', 'c', 'd'].map((name, at) => ({ name, cpu: 0.5 / (at + 1), memory: 1024 * (at + 1) }));
  const shown = { list: { time: 0, by_cpu: processes, by_memory: [] }, note: 'at 07:14:46' };
  // A number and its unit do not part.
  assert.equal(topLine(shown, 'by_cpu').replaceAll('\u00a0', ' '), 'Top processes at 07:14:46: a 50 %, b 25 %, c 17 %');
  assert.equal(topLine({ ...shown, note: '' }, 'by_memory'), 'Top processes: no process to speak of');
  assert.equal(topLine({ list: null, note: '07:14:46: nothing is known' }, 'by_cpu'), 'Top processes, 07:14:46: nothing is known');
  assert.equal(topLine({ list: null, note: '' }, 'by_cpu'), '', 'the crosshair is gone, and no list came');
});

/** A minute is a name: `at(3)` is in the middle of the fourth. */
const at = (minute: number): number => minute * 60_000 + 30_000;

test('a minute is asked for once the crosshair rests on it, and once', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const asked: number[] = [];
  let [told, now] = [0, at(100)];
  const past = new PastProcesses({
    ask: (ms) => {
      asked.push(Math.floor(ms / 60_000));
      return Promise.resolve(ms < at(50) ? list(ms) : null);
    },
    answered: () => (told += 1),
    now: () => now,
  });
  const rest = async (): Promise<void> => {
    context.mock.timers.tick(200);
    await Promise.resolve();
    await Promise.resolve();
  };
  for (const minute of [1, 2, 3]) assert.match(past.at(at(minute)).note, /: looking it up$/);
  past.at(at(3) + 1_000);
  await rest();
  assert.deepEqual([asked, told], [[3], 1], 'a moving crosshair asks nothing');
  assert.equal(past.at(at(3)).list?.time, at(3));
  past.at(at(3));
  past.at(at(60));
  await rest();
  assert.match(past.at(at(60)).note, /: nothing is known$/);
  assert.deepEqual(asked, [3, 60]);
  past.at(at(2));
  past.stop();
  await rest();
  assert.deepEqual(asked, [3, 60], 'nobody waits any more');
  for (let again = 0; again < 2; again += 1) {
    past.at(now);
    await rest();
  }
  assert.deepEqual(asked, [3, 60, 100]);
  now += 16_000;
  past.at(at(100));
  past.at(at(3));
  past.at(at(100));
  await rest();
  assert.deepEqual(asked, [3, 60, 100, 100], 'the minute was not over');
});

test('a failure is told, and asked again later; answers are bounded', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let [now, isAway, questions] = [at(10_000), true, 0];
  const past = new PastProcesses({
    ask: (ms) => {
      questions += 1;
      return isAway ? Promise.reject(new ApiError(503, 'History is away.')) : Promise.resolve(list(ms));
    },
    answered: () => undefined,
    now: () => now,
  });
  const rest = async (minute: number): Promise<string> => {
    past.at(at(minute));
    context.mock.timers.tick(200);
    for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
    return past.at(at(minute)).note;
  };
  assert.match(await rest(1), /: History is away\.$/);
  isAway = false;
  assert.match(await rest(1), /: History is away\.$/);
  now += 16_000;
  assert.match(await rest(1), /^at /);
  for (let minute = 2; minute <= 502; minute += 1) await rest(minute);
  const before = questions;
  await rest(502);
  assert.equal(questions, before);
  await rest(1);
  assert.equal(questions, before + 1, 'the oldest is forgotten');
});
