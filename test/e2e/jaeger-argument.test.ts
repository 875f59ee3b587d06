import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, envoyPart, jaegerPart } from '../parts.ts';
import { tagsIn, traceSearches } from '../prometheus/dashboards.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, startDomain } from './domain.ts';
import { handedOn } from './handed-on.ts';
import { startJaeger, tagOf } from './jaeger.ts';
import type { Jaeger, JaegerSpan } from './jaeger.ts';

const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';

/** A copy of the example policies, whose catalog lets the id of a payment that is read be recorded. */
async function policiesWithId(folder: string): Promise<string> {
  const policies = join(folder, 'policies-with-id');
  await cp(examples, policies, { recursive: true });
  const file = join(policies, 'actions.yaml');
  const written = (await readFile(file, 'utf8')).replace(
    "path: '/v1/payments/{id}', risk: low }",
    "path: '/v1/payments/{id}', risk: low, args: { id: { from: path, record: true } } }",
  );
  expect(written).toContain('record: true } } }');
  await writeFile(file, written);
  return policies;
}

/** Issue 43, point 6: "payment p-77 looks wrong" begins with a search by tag. */
describeWith(both(envoyPart(), jaegerPart()), 'a search by argument in a real Jaeger', ([envoy, jaegerBinary]) => {
  const scratch = testFolder(async () => {
    delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    await jaeger?.stop();
  });
  let jaeger: Jaeger;
  const tasks = { whole: '', part: '' };

  beforeAll(async () => {
    jaeger = await startJaeger(jaegerBinary, null);
    Object.assign(process.env, { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpHttp });
    const domain = await startDomain(envoy, {
      folder: scratch.folder,
      environment: process.env,
      policies: await policiesWithId(scratch.folder),
      settings: { telemetry: { spanArguments: true } },
    });
    try {
      const { planner, reporter, thief } = domain.stage;
      const whole = await mustDeclare(planner, domain);
      const part = await handedOn(domain, whole.token, reporter);
      Object.assign(tasks, { whole: whole.taskId, part: part.taskId });
      await callPayments(planner, domain, { token: whole.token, path: '/v1/payments/p-1' });
      // It is allowed, and the upstream does not have it.
      expect((await callPayments(reporter, domain, { token: part.token, path: '/v1/payments/p-77' }))[0]).toBe(404);
      expect((await callPayments(thief, domain, { token: part.token, path: '/v1/payments/p-5' }))[0]).toBe(401);
      await domain.remit.flush();
    } finally {
      await domain.stop();
    }
  });

  /** The spans that a panel of the dashboard finds. */
  const panel = (title: string, values: Readonly<Record<string, string>>): Promise<readonly JaegerSpan[]> => {
    const search = traceSearches.get(title);
    if (search === undefined) throw new Error(`no panel \`${title}\``);
    const { operation } = search;
    return jaeger.find(search.service, {
      tags: tagsIn(search, values),
      ...(operation === undefined ? {} : { operation }),
    });
  };
  const found = (title: string, values: Readonly<Record<string, string>>): Promise<readonly JaegerSpan[]> =>
    until(async () => {
      const spans = await panel(title, values);
      return spans.length > 0 && spans;
    });

  it('finds the call by the value, and no other, with who, to what purpose and whose delegation', async () => {
    const [call, ...others] = await found('Calls with this argument', { argument: 'id', value: 'p-77' });
    if (call === undefined) throw new Error('no call');
    expect(others).toEqual([]);
    expect(call.operationName).toBe('allow payments.read');
    const tags = [
      'remit.agent',
      'remit.intent.purpose',
      'remit.task.id',
      'remit.task.parent_id',
      'remit.task.delegated_by',
    ];
    expect(tags.map((name) => tagOf(call, name))).toEqual([
      'spiffe://acme.test/ns/agents/sa/reporter',
      'settle payment p-1',
      tasks.part,
      tasks.whole,
      PLANNER,
    ]);
  });

  it('leads to the intent of its task, to the intent above it, and to the token for the delegate', async () => {
    const [issued] = await found('The intent, and the tokens of its task', { task: tasks.part });
    expect(issued === undefined ? null : tagOf(issued, 'remit.task.delegated_by')).toBe(PLANNER);
    const above = await found('The intent, and the tokens of its task', { task: tasks.whole });
    expect(above.map((span) => tagOf(span, 'remit.intent.purpose'))).toContain('settle payment p-1');
    expect(above.map((span) => tagOf(span, 'remit.token.delegate'))).toContain(
      'spiffe://acme.test/ns/agents/sa/reporter',
    );
    const parts = await found('Parts of the task', { task: tasks.whole });
    expect(new Set(parts.map((span) => tagOf(span, 'remit.task.id')))).toEqual(new Set([tasks.part]));
  });

  it('leads to all else in the task, and to who else presented its token', async () => {
    const all = await found('All else in the task', { task: tasks.part });
    expect(all.map(({ operationName }) => operationName).toSorted()).toEqual([
      'allow payments.read',
      'deny payments.read',
      'token.issue',
    ]);
    const [stolen] = await found('Its tokens, presented by another workload', { task: tasks.part });
    expect(stolen === undefined ? null : tagOf(stolen, 'remit.agent')).toMatch(/\/thief$/);
    expect(await panel('What else this agent was denied', { agent: PLANNER })).toEqual([]);
  });
});
