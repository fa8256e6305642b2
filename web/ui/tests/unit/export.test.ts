import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvOf } from '../../src/alerts/export.ts';
import type { Alert } from '../../src/protocol.ts';

const alert: Alert = { id: 'a1', rule: 'disk', machine: 'db-1', metric: 'm', labels: { mountpoint: '/a,b', device: 'x' }, severity: 'critical', state: 'resolved', operator: 'gt', threshold: 0.9, value: -1.5, unit: '1', since: 0, resolved: 60_000, resolution: 'value', summary: '=HYPERLINK("x")\nnext' };

test('a file of alerts has a head, a line each, and nothing that a spreadsheet would run', () => {
  assert.equal(csvOf([alert]), 'id,rule,machine,severity,state,metric,labels,operator,threshold,value,unit,since,resolved,resolution,summary\r\n'
    + 'a1,disk,db-1,critical,resolved,m,"mountpoint=/a,b device=x",gt,0.9,-1.5,1,1970-01-01T00:00:00.000Z,1970-01-01T00:01:00.000Z,value,"\'=HYPERLINK(""x"")\nnext"\r\n');
  assert.equal(csvOf([{ ...alert, labels: {}, value: null, resolved: null, resolution: null, summary: null }]).split('\r\n')[1], 'a1,disk,db-1,critical,resolved,m,,gt,0.9,,1,1970-01-01T00:00:00.000Z,,,');
});
