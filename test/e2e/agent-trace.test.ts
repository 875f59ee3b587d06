import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { testFolder } from '../builders/test-folders.ts';
import { must } from '../builders/must.ts';
import { both, chromiumPart, describeWith, envoyPart, jaegerPart, jaegerUiPart } from '../parts.ts';
import { until } from '../until.ts';
import { startChromium } from './chromium.ts';
import { startDomain } from './domain.ts';
import { startJaeger, tagOf } from './jaeger.ts';
import type { Jaeger, JaegerSpan } from './jaeger.ts';
import { remit, type Running } from './process.ts';

/** A picture of the trace goes to this file, if it is set. */
const PICTURE = process.env['PICTURE_OF_TRACE'];
/** The issue, three calls with two spans of Envoy and one of Remit each, and the end. */
const SPANS = 11;

interface Made {
  readonly task: string;
  readonly forward: Readonly<Record<string, string>>;
  readonly end: string;
}

const trace = randomBytes(16).toString('hex');
const nanos = (ms: number): string => `${Math.round(ms * 1_000)}000`;
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const parentOf = ({ references }: JaegerSpan): string | undefined =>
  references.find(({ refType, traceID }) => refType === 'CHILD_OF' && traceID === trace)?.spanID;
const newSpanId = (): string => randomBytes(8).toString('hex');

/** Exports the span of a request of a user, as a service does that is instrumented with OpenTelemetry. */
async function exportInbound(otlp: string, { spanId, startMs }: { readonly spanId: string; readonly startMs: number }) {
  const span = {
    traceId: trace,
    spanId,
    name: 'GET /my-payment',
    kind: 2,
    startTimeUnixNano: nanos(startMs),
    endTimeUnixNano: nanos(performance.timeOrigin + performance.now()),
    attributes: [text('http.request.method', 'GET'), text('user.id', 'alice')],
  };
  const resource = { attributes: [text('service.name', 'shop')] };
  const answer = await fetch(`${otlp}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'shop' }, spans: [span] }] }] }),
  });
  if (!answer.ok) throw new Error(`the span was not taken: ${answer.status}`);
}

// Issue 44, "It shows".
describeWith(both(envoyPart(), jaegerPart()), 'a request of a user in Jaeger', ([envoy, jaegerBinary]) => {
  const scratch = testFolder(async () => {
    delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    running?.child.kill('SIGTERM');
    await running?.exit;
    await domain?.stop();
    await jaeger?.stop();
  });
  const inbound = newSpanId();
  const at = (name: string): string => join(scratch.folder, name);
  let jaeger: Jaeger;
  let domain: DevDomain;
  let running: Running;
  let made: Made;
  let spans: readonly JaegerSpan[];

  beforeAll(async () => {
    jaeger = await startJaeger(jaegerBinary, jaegerUiPart().found);
    // OpenTelemetry's SDK reads it there.
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = jaeger.otlpHttp;
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      environment: process.env,
      collector: { host: '127.0.0.1', port: jaeger.otlpGrpcPort },
    });
    const tasks = await startHelper();
    await serve(tasks);
    // The issuer, the sidecar and Envoy each export their spans on their own, seconds apart.
    spans = await until(async () => {
      const found = [...(await jaeger.find('remit', {})), ...(await jaeger.find('remit-gateway', {}))].filter(
        ({ traceID }) => traceID === trace,
      );
      return found.length >= SPANS && found;
    });
  });

  /** Starts the helper of the service. Returns the URL at which it gives tasks. */
  async function startHelper(): Promise<string> {
    await mkdir(at('intents'));
    const access = 'access:\n  - resource: https://payments.acme.test\n    actions: [payments.read]\n';
    await writeFile(at('intents/look.yaml'), `purpose: show a user's payment\n${access}`);
    const { envoyPort, issuerPort } = domain.stage;
    const options = {
      '--intents': at('intents'),
      '--folder': at('agent'),
      '--forward': `payments=https://payments.acme.test,connect=127.0.0.1:${envoyPort}`,
      '--issuer': `https://localhost:${issuerPort}`,
      '--bundle': at('bundle.pem'),
      '--svid-cert': at('planner.pem'),
      '--svid-key': at('planner.key'),
    };
    running = remit(['agent', ...Object.entries(options).flat()]);
    await running.said('ready');
    return /^REMIT_TASKS=(.*)$/m.exec(await readFile(at('agent/environment'), 'utf8'))?.[1] ?? '';
  }

  /** What a service does for a request: a task, two calls that its intent has and one that it has not, and the end. */
  async function serve(tasks: string): Promise<void> {
    const startMs = performance.timeOrigin + performance.now();
    const headers = { traceparent: `00-${trace}-${inbound}-01` };
    made = await until(async () => {
      const answer = await fetch(tasks, { method: 'POST', headers, body: JSON.stringify({ intent: 'look.yaml' }) });
      return answer.status === 201 && ((await answer.json()) as Made);
    });
    const statuses: number[] = [];
    const base = `${made.forward['payments']}/v1/payments`;
    for (const [url, method] of [
      [`${base}/p-1`, 'GET'],
      [`${base}/p-2`, 'GET'],
      [base, 'GET'],
    ] as const)
      statuses.push((await fetch(url, { method, headers })).status);
    expect(statuses).toEqual([200, 200, 403]);
    expect((await fetch(made.end, { method: 'DELETE', headers })).status).toBe(200);
    await exportInbound(jaeger.otlpHttp, { spanId: inbound, startMs });
  }

  const named = (name: string): readonly JaegerSpan[] => spans.filter(({ operationName }) => operationName === name);

  it('is one trace: the request, its task, its calls and its end', () => {
    const names = spans.map(({ operationName }) => operationName);
    for (const [name, times] of [
      ['token.issue', 1],
      ['allow payments.read', 2],
      ['deny payments.list', 1],
      ['task.end', 1],
    ] as const)
      expect([name, names.filter((one) => one === name).length]).toEqual([name, times]);
  });

  it('has the task and its end below the request, and each check below the call in Envoy', () => {
    expect([...named('token.issue'), ...named('task.end')].map(parentOf)).toEqual([inbound, inbound]);
    const checks = [...named('allow payments.read'), ...named('deny payments.list')];
    const bySpanId = new Map(spans.map((span) => [span.spanID, span]));
    const roots = checks.map((check) => {
      const asked = must(bySpanId.get(parentOf(check) ?? '') ?? { problem: 'no parent' });
      const ingress = must(bySpanId.get(parentOf(asked) ?? '') ?? { problem: 'no ingress' });
      return parentOf(ingress);
    });
    expect(roots).toEqual([inbound, inbound, inbound]);
  });

  it('names the task in each span of Remit', () => {
    const ours = [...named('token.issue'), ...named('allow payments.read'), ...named('task.end')];
    expect(new Set(ours.map((span) => tagOf(span, 'remit.task.id')))).toEqual(new Set([made.task]));
  });

  describeWith(both(jaegerUiPart(), chromiumPart()), 'as its pages show it', ([, chromium]) => {
    it('shows the rows in their order', async () => {
      const page = await startChromium(chromium);
      try {
        await page.open(`${jaeger.pages}/trace/${trace}`);
        const rows = await until(async () => {
          const found = (await page.evaluate(
            `[...document.querySelectorAll('.span-name')].map((one) => one.innerText)`,
          )) as readonly string[];
          return found.length >= spans.length + 1 && found.map((row) => row.replaceAll(/\s+/g, ' ').trim());
        });
        expect(rows[0]).toMatch(/^shop GET \/my-payment/);
        expect(rows.filter((row) => row.startsWith('remit ')).map((row) => row.slice('remit '.length))).toEqual([
          'token.issue',
          'allow payments.read',
          'allow payments.read',
          'deny payments.list',
          'task.end',
        ]);
        if (PICTURE !== undefined) await writeFile(PICTURE, await page.screenshot());
      } finally {
        await page.close();
      }
    });
  });
});
