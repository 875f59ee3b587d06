import { readFile } from 'node:fs/promises';
import { Agent as HttpsAgent, request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Agent, AgentCall } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import type { LedgerRecord } from '../../src/core/ledger/record.ts';
import { timelineFrom } from '../../src/core/ledger/timeline.ts';
import { both, chromiumPart, describeWith, envoyPart, jaegerPart, jaegerUiPart } from '../parts.ts';
import { until } from '../until.ts';
import { startChromium } from './chromium.ts';
import type { Page } from './chromium.ts';
import { testFolder } from '../builders/test-folders.ts';
import { mustDeclare, payment, startDomain } from './domain.ts';
import { handedOn } from './handed-on.ts';
import { startJaeger, tagOf } from './jaeger.ts';
import type { Jaeger, JaegerSpan } from './jaeger.ts';
import { must } from '../builders/must.ts';

const HOST = 'payments.acme.test';
const READ = { method: 'GET', path: '/v1/payments/p-1' };
const LIST = { method: 'GET', path: '/v1/payments' };
const PAY = payment(1);

const traced = (digit: string, flags = '01') => ({
  traceparent: `00-${digit.repeat(32)}-${digit.repeat(16)}-${flags}`,
});

type Use = Extract<LedgerRecord, { kind: 'use' }>;
type Issued = Extract<LedgerRecord, { kind: 'token' }>;

/** The scenario of issue "Traces and reuse": two tasks and a part, three agents, reuse across traces and nodes. */
describeWith(both(envoyPart(), jaegerPart()), 'traces in a real Jaeger', ([envoy, jaegerBinary]) => {
  const scratch = testFolder(async () => {
    delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    await jaeger?.stop();
  });
  let jaeger: Jaeger;
  let checks: readonly JaegerSpan[];
  const tasks = { whole: '', part: '', stolen: '' };
  const answers: (readonly [number, string | null])[] = [];
  const records: LedgerRecord[] = [];

  beforeAll(async () => {
    jaeger = await startJaeger(jaegerBinary, jaegerUiPart().found);
    Object.assign(process.env, { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpHttp });
    const domain = await startDomain(envoy, {
      folder: scratch.folder,
      environment: process.env,
      collector: { host: '127.0.0.1', port: jaeger.otlpGrpcPort },
    });
    try {
      await play(domain);
      await domain.remit.flush();
      for (const taskId of Object.values(tasks)) records.push(...(await recordsOf(domain, taskId)));
      // Two spans for each sampled call. Envoy sends them every few seconds, and none when it ends.
      await until(async () => (await jaeger.find('remit-gateway', {})).length === 2 * (answers.length - 2));
    } finally {
      await domain.stop();
    }
    // All but the unsampled one were accepted by then; Jaeger stores them a moment later.
    checks = await until(async () => {
      const found = await checksBy({});
      return found.length >= answers.length - 1 && found;
    });
  });

  async function play(domain: DevDomain): Promise<void> {
    const { planner, reporter, thief, issuerHost, issuerPort } = domain.stage;
    const call = async (
      agent: Agent,
      token: string,
      { headers = {}, ...what }: Omit<AgentCall, 'host'>,
    ): Promise<void> => {
      const sent = { ...headers, authorization: `Bearer ${token}` };
      const reply = await agent.call(domain.stage.envoyPort, { host: HOST, ...what, headers: sent });
      answers.push([reply.status, reply.status < 300 ? null : JSON.parse(reply.body).reason]);
    };

    const whole = await mustDeclare(planner, domain);
    tasks.whole = whole.taskId;
    await call(planner, whole.token, { ...READ, headers: traced('a') });
    await call(planner, whole.token, { ...READ, headers: traced('a') });
    await call(planner, whole.token, { ...PAY, headers: { ...PAY.headers, ...traced('a') } });
    await call(planner, whole.token, { ...READ, headers: { ...traced('b'), connection: 'close' } });
    await call(planner, whole.token, { ...READ, headers: traced('a') });
    await call(planner, whole.token, { ...LIST, headers: traced('f') });
    await call(planner, whole.token, { ...READ, headers: traced('f') });
    const elsewhere = await fromElsewhere(scratch.folder, domain.stage.envoyPort);
    for (const what of [{ ...READ, headers: {} }, PAY])
      answers.push(await elsewhere.call(whole.token, { ...what, headers: { ...what.headers, ...traced('a') } }));
    elsewhere.close();

    const part = await handedOn(domain, whole.token, reporter);
    tasks.part = part.taskId;
    await call(reporter, part.token, { ...READ, headers: traced('a') });
    await call(reporter, part.token, { ...READ, headers: traced('c') });

    const stolen = await mustDeclare(planner, domain, { actions: ['payments.read'] });
    tasks.stolen = stolen.taskId;
    await call(planner, stolen.token, { ...READ, headers: traced('b') });
    await call(thief, stolen.token, { ...READ, headers: traced('e') });

    // The caller asks not to sample these two.
    await call(planner, whole.token, { ...READ, headers: traced('d', '00') });
    await call(planner, whole.token, { ...LIST, headers: traced('d', '00') });

    await planner.call(issuerPort, { host: issuerHost, method: 'POST', path: `/tasks/${whole.taskId}/complete` });
    await call(planner, whole.token, { ...READ, headers: traced('a') });
    await call(reporter, part.token, { ...READ, headers: traced('c') });
  }

  /** The spans of checks with these tags, found by a search. */
  const checksBy = async (tags: Readonly<Record<string, string>>): Promise<readonly JaegerSpan[]> =>
    (await jaeger.find('remit', { tags })).filter((span) => /^(allow|deny)( payments\.|$)/.test(span.operationName));

  const uses = (): readonly Use[] => records.filter((record): record is Use => record.kind === 'use');
  const issuanceOf = (use: Use): Issued | undefined =>
    records.find((record): record is Issued => record.kind === 'token' && record.jtiDigest === use.jtiDigest);
  const spanOf = (use: Use): JaegerSpan | undefined => checks.find(({ spanID }) => spanID === use.spanId);

  const classes = (task: string): readonly string[] =>
    uses()
      .filter((use) => use.task === task)
      .map((use) => {
        const span = spanOf(use);
        const ofSpan = span === undefined ? use.reuse : JSON.parse(String(tagOf(span, 'remit.token.reuse')));
        expect(ofSpan).toEqual(use.reuse);
        return use.reuse.join(' ');
      });

  it('runs as expected', () => {
    expect(answers).toEqual([
      [200, null],
      [200, null],
      [201, null],
      [200, null],
      [200, null],
      [403, 'action.outside-intent'],
      [200, null],
      [200, null],
      [403, 'policy.forbidden'],
      [200, null],
      [200, null],
      [200, null],
      [401, 'token.binding'],
      [200, null],
      [403, 'action.outside-intent'],
      [403, 'task.completed'],
      [403, 'task.cancelled'],
    ]);
    expect(uses()).toHaveLength(answers.length);
  });

  it('has one span for each check after shutdown, except the unsampled allow', () => {
    const unsampled = uses().filter(({ traceId, decision }) => traceId === 'd'.repeat(32) && decision === 'allow');
    expect(unsampled).toHaveLength(1);
    const expected = uses().filter((use) => !unsampled.includes(use));
    expect(checks.map(({ spanID }) => spanID).toSorted()).toEqual(expected.map(({ spanId }) => spanId).toSorted());
    for (const use of expected) {
      const span = spanOf(use);
      expect(span?.traceID).toBe(use.traceId);
      expect(span === undefined ? null : tagOf(span, 'remit.decision.id')).toBe(use.decisionId);
    }
  });

  it("has a reference to the issuance span of each use's token", async () => {
    const issuances = await jaeger.find('remit', { operation: 'token.issue' });
    expect(issuances.length).toBeGreaterThanOrEqual(2);
    for (const use of uses()) {
      const span = spanOf(use);
      if (span === undefined) continue;
      const issued = issuanceOf(use);
      expect(span.references).toContainEqual({
        refType: 'FOLLOWS_FROM',
        traceID: issued?.traceId,
        spanID: issued?.spanId,
      });
      expect(issuances.map(({ spanID }) => spanID)).toContain(issued?.spanId);
    }
  });

  it("makes each check a child of Envoy's span, in the trace of the application", async () => {
    const gateway = new Map((await jaeger.find('remit-gateway', {})).map((span) => [span.spanID, span]));
    for (const span of checks.filter(({ traceID }) => traceID !== 'd'.repeat(32))) {
      const parent = span.references.find(({ refType }) => refType === 'CHILD_OF');
      expect(gateway.get(parent?.spanID ?? '')?.traceID).toBe(span.traceID);
      expect(span.traceID).toMatch(/^([abcef])\1{31}$/);
    }
  });

  it('links each reuse to the previous use, in any trace', () => {
    const [first, second, , , back] = uses().filter(({ task }) => task === tasks.whole);
    if (first === undefined || second === undefined || back === undefined) throw new Error('no uses');
    const previous = { refType: 'FOLLOWS_FROM', traceID: first.traceId, spanID: first.spanId };
    expect(spanOf(second)?.references).toContainEqual(previous);
    const fromOther = spanOf(back)?.references.filter(({ traceID }) => traceID === 'b'.repeat(32));
    expect(fromOther).toHaveLength(1);
  });

  it.each(['whole', 'part', 'stolen'] as const)(
    'finds by `remit.task.id` exactly the uses of the task: %s',
    async (name) => {
      const found = await checksBy({ 'remit.task.id': tasks[name] });
      const expected = uses().filter((use) => use.task === tasks[name] && spanOf(use) !== undefined);
      expect(expected.length).toBeGreaterThan(0);
      expect(found.map(({ spanID }) => spanID).toSorted()).toEqual(expected.map(({ spanId }) => spanId).toSorted());
    },
  );

  it('finds by `remit.intent.trace_id` exactly the uses of tokens issued in that trace', async () => {
    const intents = new Set(uses().map((use) => issuanceOf(use)?.traceId ?? ''));
    expect(intents.size).toBe(3);
    for (const traceId of intents) {
      const found = await jaeger.find('remit', { tags: { 'remit.intent.trace_id': traceId } });
      const expected = uses().filter((use) => issuanceOf(use)?.traceId === traceId && spanOf(use) !== undefined);
      expect(found.map(({ spanID }) => spanID).toSorted()).toEqual(expected.map(({ spanId }) => spanId).toSorted());
    }
  });

  it('finds the end of a task by its id', async () => {
    const found = await jaeger.find('remit', { operation: 'task.end', tags: { 'remit.task.id': tasks.whole } });
    expect(found).toHaveLength(1);
  });

  it('names each check by its decision and its action, with the route of the catalog and microseconds', () => {
    for (const use of uses()) {
      const span = spanOf(use);
      if (span === undefined) continue;
      expect(span.operationName).toBe(`${use.decision} ${use.action}`);
      expect(tagOf(span, 'http.route')).toMatch(/^\/v1\/payments(\/\{id\})?$/);
    }
    expect(checks.some(({ startTime, duration }) => startTime % 1_000 !== 0 && duration % 1_000 !== 0)).toBe(true);
  });

  it('finds an issuance by its task, with purpose, actions and lifetime', async () => {
    const [issued] = await jaeger.find('remit', {
      operation: 'token.issue',
      tags: { 'remit.task.id': tasks.stolen },
    });
    if (issued === undefined) throw new Error('no issuance');
    expect(tagOf(issued, 'remit.intent.purpose')).toBe('settle payment p-1');
    expect(JSON.parse(String(tagOf(issued, 'remit.intent.actions')))).toEqual(['payments.read']);
    expect(tagOf(issued, 'remit.token.lifetime_seconds')).toBeGreaterThan(0);
    expect(Date.parse(String(tagOf(issued, 'remit.task.deadline')))).toBeGreaterThan(issued.startTime / 1_000);
  });

  describeWith(both(jaegerUiPart(), chromiumPart()), 'as its pages show them', ([, chromium]) => {
    let page: Page;
    beforeAll(async () => {
      page = await startChromium(chromium);
    });
    afterAll(() => page?.close());

    const texts = async (selector: string): Promise<readonly string[]> => {
      const found = await page.evaluate(
        `[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.innerText)`,
      );
      return (found as readonly string[]).map((text) => text.replaceAll(/\s+/g, ' ').trim());
    };

    /** Opens a span in its trace, and waits for its tags and references. */
    async function openSpan({ traceID, spanID }: Pick<JaegerSpan, 'traceID' | 'spanID'>): Promise<void> {
      await page.open(`${jaeger.pages}/trace/${traceID}?uiFind=${spanID}`);
      const opened = (header: string) =>
        page.evaluate(
          `document.querySelectorAll('.${header}[aria-checked=false]').forEach((one) => one.click()) ?? document.querySelectorAll('.${header}[aria-checked=true]').length > 0`,
        );
      await until(() => opened('AccordianReferences--header'));
      await until(() => opened('AccordianKeyValues--header'));
    }

    const linkOf = (tag: string): Promise<unknown> =>
      page.evaluate(
        `[...document.querySelectorAll('.KeyValueTable--row')].filter((row) => row.cells[0].innerText === '${tag}').map((row) => row.querySelector('a')).map(({ title, href }) => [title, new URL(href).pathname + new URL(href).search])[0]`,
      );

    it('distinguishes allow and deny in the rows of a trace', async () => {
      await page.open(`${jaeger.pages}/trace/${'f'.repeat(32)}`);
      const rows = await until(async () => {
        const found = await texts('.span-name');
        return found.length > 0 && found;
      });
      const ours = rows.filter((row) => row.startsWith('remit ')).toSorted();
      expect(ours).toEqual(['remit allow payments.read', 'remit deny payments.list']);
    });

    it('shows issuance and previous use by name, or by a linked attribute in another trace', async () => {
      const [first, second] = uses().filter(({ task }) => task === tasks.whole);
      const span = second === undefined ? undefined : spanOf(second);
      const issued = second === undefined ? undefined : issuanceOf(second);
      if (first === undefined || span === undefined || issued === undefined) throw new Error('no uses');
      await openSpan(span);
      const [parent, issuance, before] = await texts('.ReferencesList--Item');
      expect(parent).toMatch(/^remit-gateway.*CHILD_OF/);
      expect(issuance).toMatch(new RegExp(`^< span in another trace > FOLLOWS_FROM ?${issued.spanId}$`));
      expect(before).toMatch(new RegExp(`^remit ?allow payments.read FOLLOWS_FROM ?${first.spanId}$`));
      expect(await linkOf('remit.issued_by.span_id')).toEqual([
        'Open the issuance of its token',
        `/trace/${issued.traceId}?uiFind=${issued.spanId}`,
      ]);
      expect(await linkOf('remit.previous_use.span_id')).toEqual([
        'Open the use before',
        `/trace/${first.traceId}?uiFind=${first.spanId}`,
      ]);
      await page.open(`${jaeger.pages}/trace/${issued.traceId}?uiFind=${issued.spanId}`);
      await until(async () => (await texts('.detail-info-wrapper h2')).join() === 'token.issue');
    });
  });

  it('has the reuse classes of each use in both span and record', () => {
    expect(classes(tasks.whole)).toEqual([
      'first',
      'same-trace',
      'other-class same-trace',
      'other-trace',
      'other-connection same-trace',
      'other-trace',
      // The previous use was denied, so its trace did not become familiar.
      'other-trace',
      'other-node other-connection same-trace',
      // An allowed use from there made the connection familiar, but not the node.
      'other-node same-trace',
      'other-trace',
      'same-trace',
      'after-end same-trace',
    ]);
    expect(classes(tasks.part)).toEqual(['first', 'other-trace', 'after-end same-trace']);
    expect(classes(tasks.stolen)).toEqual(['first', 'other-identity other-node other-trace other-connection']);
  });

  it('finds uses by their most serious class', async () => {
    const found = await jaeger.find('remit', { tags: { 'remit.token.reuse.class': 'other-node' } });
    expect(found.map((span) => String(tagOf(span, 'remit.decision'))).toSorted()).toEqual(['allow', 'deny']);
  });
});

/** Calls with the certificate of the planner from another address, over one connection. */
async function fromElsewhere(folder: string, port: number) {
  const [cert, key, ca] = await Promise.all(
    ['planner.pem', 'planner.key', 'bundle.pem'].map((name) => readFile(join(folder, name))),
  );
  const agent = new HttpsAgent({ cert, key, ca, keepAlive: true, maxSockets: 1, localAddress: '127.0.0.2' });
  const call = (
    token: string,
    { headers, body: sentBody, ...what }: Omit<AgentCall, 'host'>,
  ): Promise<readonly [number, string | null]> =>
    new Promise((resolve, reject) => {
      const sent = { ...headers, host: HOST, authorization: `Bearer ${token}` };
      const outgoing = request({ agent, host: '127.0.0.1', port, ...what, headers: sent }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += String(chunk)));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          resolve([status, status < 300 ? null : JSON.parse(body).reason]);
        });
      });
      outgoing.on('error', reject);
      outgoing.end(sentBody);
    });
  return { call, close: () => agent.destroy() };
}

async function recordsOf({ remit }: DevDomain, taskId: string): Promise<readonly LedgerRecord[]> {
  const stored = must(await remit.recordsOf(taskId, 1000));
  return timelineFrom(stored);
}
