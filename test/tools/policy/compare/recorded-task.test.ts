import { describe, expect, it } from '@jest/globals';
import { doubtsAbout, recordedWith } from '../../../../src/tools/policy/compare/recorded-task.ts';
import type { RecordedTask } from '../../../../src/tools/policy/compare/recorded-task.ts';
import { examplePolicies, planner } from '../cases/folder.ts';
import { eventOf, intentOf, NOW, recordedTask, storedTask, useOf } from '../cases/records.ts';

const record = useOf();
const files = useOf({ seq: 5, action: 'files.list' });
const searched = useOf({ seq: 6, action: 'tickets.search-customers' });
const known = (change: Partial<RecordedTask> = {}) => recordedWith(record, recordedTask(change), undefined);

describe('recordedWith', () => {
  it('uses the stored task', () => {
    expect(known().task).toMatchObject({ purpose: 'pay', createdAtMs: NOW - 10_000, risk: 'low', context: {} });
  });

  it('falls back to the record of the intent', () => {
    const { task } = known({ stored: undefined });
    expect(task).toEqual({
      purpose: 'pay',
      detailsJson: expect.stringMatching(/"actions":\["payments\.\*"\]/),
      // The time of the task, not of the record.
      createdAtMs: NOW - 10_000,
      risk: 'low',
      context: null,
      subjectAttributes: {},
      subject: planner,
      agent: planner,
    });
  });

  it.each<[string, Partial<RecordedTask>]>([
    ['no record of its intent', { stored: undefined, records: [] }],
    ['an intent that could not be read', { stored: undefined, records: [intentOf({ details: null })] }],
  ])('knows no task of %s', (_name, change) => {
    expect(known(change).task).toBeUndefined();
  });

  it('derives the history from earlier allowed uses, with labels of the catalog', async () => {
    const { catalog } = await examplePolicies();
    const records = [
      intentOf(),
      files,
      searched,
      useOf({ seq: 7, action: 'payments.create', decision: 'deny', reason: 'policy.forbidden' }),
      record,
      useOf({ seq: 11, action: 'files.delete' }),
    ];
    expect(recordedWith(record, recordedTask({ records }), catalog).history).toEqual({
      actions: ['files.list', 'tickets.search-customers'],
      labels: ['customer-data'],
    });
    expect(recordedWith(record, null, catalog)).toEqual({
      task: undefined,
      history: { actions: [], labels: [] },
      catalog,
    });
  });

  it.each<[string, Partial<RecordedTask>, string]>([
    ['as it is now if it never changed', { stored: storedTask({ risk: 'medium' }) }, 'medium'],
    [
      'as it was before the next change',
      {
        stored: storedTask({ risk: 'high' }),
        records: [
          eventOf(12, 'risk', { from: 'low', to: 'medium' }),
          eventOf(13, 'risk', { from: 'medium', to: 'high' }),
        ],
      },
      'low',
    ],
    [
      'as it was before a change on its way to the ledger',
      { stored: storedTask({ risk: 'high' }), records: [eventOf(null, 'risk', { from: 'medium', to: 'high' })] },
      'medium',
    ],
    [
      'as the last change left it if no store has the task',
      { stored: undefined, records: [intentOf(), eventOf(4, 'risk', { from: 'low', to: 'high' })] },
      'high',
    ],
  ])('has the risk %s', (_name, change, risk) => {
    expect(known(change).task?.risk).toBe(risk);
  });
});

describe('doubtsAbout', () => {
  it.each<[string, Partial<RecordedTask>, readonly string[]]>([
    ['nothing, of a task with all its records', {}, []],
    [
      'its context, if that changed since',
      { records: [intentOf(), eventOf(12, 'context', { model: 'm' })] },
      ['context'],
    ],
    ['nothing, of a context that changed before', { records: [intentOf(), eventOf(4, 'context', { model: 'm' })] }, []],
    ['its history, if parts of it were handed on', { hasParts: () => true }, ['history']],
    ['its history, if its first records were given up', { records: [] }, ['history']],
    ['actors and history of a part', { stored: storedTask({ parentId: 'p' }) }, ['actors', 'history']],
    ['what may have changed, if records are missing', { isCut: true }, ['risk', 'context', 'history']],
    ['its context, if no store has it', { stored: undefined }, ['context']],
    [
      'the risk of a part that no store has',
      { stored: undefined, records: [intentOf({ parent: 'p' })] },
      ['actors', 'risk', 'context', 'history'],
    ],
    [
      'all of a task that nobody knows',
      { stored: undefined, records: [] },
      ['task', 'actors', 'risk', 'context', 'history'],
    ],
  ])('doubts %s', (_name, change, doubts) => {
    expect([...doubtsAbout(record, recordedTask(change))]).toEqual(doubts);
  });

  it('doubts nothing of a use without a task', () => {
    expect([...doubtsAbout(useOf({ task: null }), null)]).toEqual([]);
  });
});
