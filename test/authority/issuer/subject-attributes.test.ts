import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Question } from '../../../src/core/policy/question.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { type Answer, audience, type Bench, details, issuerUrl, startBench } from './bench.ts';
import { reporterId, startIdp } from './idp.ts';

const folder = testFolders(() => bench.close());
const asked: Question[] = [];
let bench: Bench;
const idp = startIdp();

beforeAll(async () => {
  const { subjectIssuers, subjectKeys } = idp;
  const first = await startBench(folder());
  const { grant } = first;
  await first.close();
  bench = await startBench(folder(), {
    subjectKeys,
    settings: { subjectIssuers, contextRules: { model: 'ask' } },
    grant: (question) => {
      asked.push(question);
      return grant(question);
    },
  });
});

const asking = { resource: audience, authorization_details: details() };
const said = { groups: ['b', 'a', 'b'], 'https://acme.test/tenant': 'acme', unread: 'x' };
const known = { groups: ['a', 'b'], tenant: 'acme' };
const askedOf = (): readonly unknown[] => asked.splice(0).map(({ context }) => context['subjectAttributes']);
const kept = (answer: Answer): unknown => {
  const task = bench.store.taskOf(issuerUrl, String(answer.json['txn']));
  return task === undefined || isStoreFailure(task) ? answer.json : task.subjectAttributes;
};

describe('attributes of the subject from its subject token', () => {
  it('are part of the question `issue`, stored with the task, recorded, and part of later questions', async () => {
    const body = { ...asking, task_context: '{"model":"a"}' };
    const answer = await bench.exchange(await idp.accessToken(said), body);
    expect([answer.status, kept(answer), askedOf()]).toEqual([200, known, [known]]);
    const id = String(answer.json['txn']);
    const timeline = await bench.ask(`/tasks/${id}/timeline`);
    expect(timeline.json['records']).toMatchObject([{ kind: 'intent', subjectAttributes: known }, { kind: 'token' }]);
    const changed = await bench.ask(`/tasks/${id}/context`, {
      method: 'PUT',
      body: JSON.stringify({ context: { model: 'b' } }),
      headers: { 'content-type': 'application/json' },
      as: bench.planner,
    });
    expect([changed.status, changed.json['subject_attributes'], askedOf()]).toEqual([200, known, [known]]);
  });

  it('apply to every token of the task and of its sub-tasks', async () => {
    const first = await bench.exchange(await idp.accessToken(said), asking);
    const token = String(first.json['access_token']);
    expect(kept(await bench.exchange(token))).toEqual(known);
    const made = await bench.exchange(token, { delegate: reporterId });
    const part = await bench.exchange(String(made.json['access_token']), { resource: audience }, bench.reporter);
    expect([part.status, part.json['txn'] === first.json['txn'], kept(part)]).toEqual([200, false, known]);
    expect(askedOf()).toEqual([known, known, known, known]);
  });

  it('are empty for an agent that acts for itself, and for a token without the claims', async () => {
    const own = await bench.token();
    const empty = await bench.exchange(await idp.accessToken(), asking);
    expect([kept(own), kept(empty), askedOf()]).toEqual([{}, {}, [{}, {}]]);
    const timeline = await bench.ask(`/tasks/${String(own.json['txn'])}/timeline`);
    expect(JSON.stringify(timeline.json)).not.toContain('subjectAttributes');
  });

  it.each([
    ['groups', { groups: 'a' }, 'claim `groups` must be an array of 0 to 256 entries'],
    ['https://acme.test/tenant', { 'https://acme.test/tenant': ['acme'] }, 'must be a string of 0 to 256 characters'],
  ])('refuses a token whose `%s` is of another type, and asks nobody', async (_claim, change, description) => {
    const answer = await bench.exchange(await idp.accessToken(change), asking);
    expect([answer.status, answer.json['error'], askedOf()]).toEqual([400, 'invalid_request', []]);
    expect(answer.json['error_description']).toContain(description);
  });
});
