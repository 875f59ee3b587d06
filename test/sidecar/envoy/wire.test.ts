import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { deny, isDeny } from '../../../src/core/decision/decision.ts';
import { type ReasonCode, reasons } from '../../../src/core/decision/reasons.ts';
import type { CheckFacts } from '../../../src/sidecar/check/asked-check.ts';
import { until } from '../../until.ts';
import type { OneHandler } from './handlers.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { envoyVersions } from '../../parts/cache.ts';
import { allow, answerWith, get, handlerOf, newDecisionId, post, Wire } from './wire.ts';

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `AuthorizationServer asked by Envoy ${version}`, (binary) => {
    let wire: Wire;
    let seen: CheckFacts[] = [];
    beforeAll(async () => {
      wire = await Wire.start(binary);
    });
    afterAll(() => wire.stop());
    beforeEach(() => {
      seen = [];
      wire.handler = handlerOf(async (facts, call) => {
        if (isDeny(facts)) return answerWith({ decision: facts });
        seen.push(facts);
        return allow(facts, call);
      });
      wire.forwarded.length = 0;
      wire.faults.length = 0;
    });

    it('is called by exactly that version', async () => {
      expect((await wire.envoy.admin('/server_info')).body).toContain(`/${version}/`);
    });

    it('is unhealthy to Envoy until it reports serving', async () => {
      const flags = async () => /remit::.*::health_flags::(.*)/.exec((await wire.envoy.admin('/clusters')).body)?.[1];
      await until(async () => (await flags()) === '/failed_active_hc');
      wire.server.setServing(true);
      await until(async () => (await flags()) === 'healthy');
    });

    describe.each(['raw', 'merged'] as const)('through `%s`', (listener) => {
      // Headers are replaced, never appended to. The Envoys tried here, 1.37.0 among them, obey `append` and would replace without it too.
      // That both fields are sent (envoyproxy/envoy#43310) is tested on the bytes in response.test.ts.
      it('passes an allowed request with headers set or removed, and without the credential', async () => {
        const decisionId = newDecisionId();
        wire.handler = handlerOf(async () =>
          answerWith({
            decision: { kind: 'allow', policyIds: [], observed: null },
            decisionId,
            taskId: 'task-1',
            action: 'a.b',
          }),
        );
        const forged = ['x-remit-decision: forged', 'x-remit-task: forged', 'x-remit-agent: forged'];
        const credentials = [
          'authorization: Bearer secret',
          'proxy-authorization: Basic secret',
          'dpop: secret',
          'txn-token: secret',
          'x-forwarded-client-cert: By=spiffe://a/b;Hash=secret',
        ];
        const kept = ['accept: text/plain', 'x-app: 1'];
        const answer = await wire.to(listener, get('/v1/a?b=c', ...forged, ...forged, ...credentials, ...kept));
        expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('upstream') });
        expect(wire.forwarded).toHaveLength(1);
        const [{ url, headers } = { url: '', headers: [] }] = wire.forwarded;
        expect(url).toBe('/v1/a?b=c');
        expect(headers.filter(([name]) => name.startsWith('x-remit-'))).toEqual([
          ['x-remit-decision', `allow;id="${decisionId}"`],
          ['x-remit-task', 'task-1'],
        ]);
        expect(JSON.stringify(headers)).not.toMatch(/secret|forged|authorization|dpop|txn-token|client-cert/);
        expect(headers).toContainEqual(['accept', 'text/plain']);
        expect(headers).toContainEqual(['x-app', '1']);
      });

      it.each<ReasonCode>([
        'token.missing',
        'action.outside-intent',
        'task.exhausted',
        'request.too-large',
        'internal',
      ])('passes the denial %s to the client unchanged', async (code) => {
        const decisionId = newDecisionId();
        const resourceMetadataUrl = 'https://a.test/meta';
        wire.handler = handlerOf(async () =>
          answerWith({ decision: deny(code, 'x'), decisionId, resourceMetadataUrl }),
        );
        const answer = await wire.to(listener, get('/v1/a'));
        const { httpStatus, text, challenge, retryable } = reasons[code];
        expect(answer.status).toBe(httpStatus);
        expect(JSON.parse(answer.body)).toMatchObject({ reason: code, decision: decisionId });
        expect(JSON.parse(answer.body).message).toContain(text);
        expect(answer.headers.get('content-type')).toBe('application/json');
        expect(answer.headers.get('cache-control')).toBe('no-store');
        expect(answer.headers.get('x-remit-decision')).toBe(`deny;reason=${code};id="${decisionId}"`);
        expect(answer.headers.get('retry-after')).toBe(retryable ? '1' : undefined);
        expect(answer.headers.get('www-authenticate')?.startsWith('Bearer realm="remit"')).toBe(
          challenge === null ? undefined : true,
        );
        expect(wire.forwarded).toEqual([]);
      });

      it('sends the call unchanged to the check', async () => {
        const body = '{"amount": 5, "to": "Zoë"}';
        const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
        const headers = ['authorization: Bearer abc', 'content-type: application/json', `traceparent: ${traceparent}`];
        expect((await wire.to(listener, post('/v1/p%20q/r?s=t&u', body, ...headers), body)).status).toBe(200);
        expect(seen).toMatchObject([
          {
            peer: { principal: '', certificate: '', xfcc: [] },
            call: {
              method: 'POST',
              scheme: 'http',
              host: 'api.test',
              port: null,
              path: '/v1/p%20q/r',
              segments: ['v1', 'p q', 'r'],
              query: 's=t&u',
              requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
            },
            trace: { parent: null, application: traceparent },
            sourceAddress: '127.0.0.1',
            sourcePort: expect.any(Number),
          },
        ]);
        expect(seen[0]?.call.headers.get('authorization')).toEqual(['Bearer abc']);
        expect(Buffer.from(seen[0]?.call.body ?? []).toString()).toBe(body);
        expect(wire.forwarded).toMatchObject([{ body }]);
      });

      it('sends no body if there is none, and the host with its port', async () => {
        expect((await wire.to(listener, get('/'))).status).toBe(200);
        expect(seen).toMatchObject([{ call: { body: null, segments: [], host: 'api.test', port: 80 } }]);
      });

      it('sends a repeated header, separately or joined', async () => {
        await wire.to(listener, get('/', 'authorization: Bearer a', 'authorization: Bearer b'));
        expect(seen[0]?.call.headers.get('authorization')?.join(',')).toBe('Bearer a,Bearer b');
      });

      it('answers a body over the limit itself', async () => {
        const body = 'a'.repeat(65_537);
        expect((await wire.to(listener, post('/', body), body)).status).toBe(413);
        expect(wire.forwarded).toEqual([]);
      });

      it.each([
        ['a host for a path', get('//admin')],
        ['dot segments', get('/a/../b')],
        ['an escaped slash', get('/a%2fb')],
        ['an escaped NUL', get('/a%00b')],
        ['a path parameter', get('/a;b')],
        ['a backslash', get('/a\\b')],
        ['a fragment', get('/a#b')],
        ['a byte over ASCII in the path', get('/a\xff')],
        ['a second content type', get('/', 'content-type: a/b', 'content-type: c/d')],
        ['a method in lower case', ['get / HTTP/1.1', 'host: a']],
        ['an unknown method', ['BREW / HTTP/1.1', 'host: a']],
        ['TRACE', ['TRACE / HTTP/1.1', 'host: a']],
        ['CONNECT', ['CONNECT a:80 HTTP/1.1', 'host: a:80']],
        ['the whole server', ['OPTIONS * HTTP/1.1', 'host: a']],
        ['a user in the host', ['GET / HTTP/1.1', 'host: u@a']],
        ['two hosts', ['GET / HTTP/1.1', 'host: a', 'host: b']],
        ['an upgrade', get('/', 'connection: upgrade', 'upgrade: websocket')],
      ])('forwards no request with %s', async (_name, head) => {
        const { status } = await wire.to(listener, head);
        expect(status).toBeGreaterThanOrEqual(400);
        expect(wire.forwarded).toEqual([]);
      });
    });

    it('denies a header that is not UTF-8 if its bytes are sent', async () => {
      const answer = await wire.to('raw', get('/', 'x-a: \xff'));
      expect(answer).toMatchObject({ status: 400, body: expect.stringContaining('request.not-canonical') });
    });

    it('sends a body byte for byte in the form of bytes', async () => {
      const body = Buffer.from([0, 255, 1, 254]);
      expect((await wire.to('raw', post('/', body), body)).status).toBe(200);
      expect(Buffer.from(seen[0]?.call.body ?? []).equals(body)).toBe(true);
    });

    it.each(['raw', 'merged'] as const)('forwards nothing odd over HTTP/2 through `%s`', async (listener) => {
      const odd = [
        { ':method': 'get' },
        { ':path': '/a\xff' },
        { ':path': '/a b' },
        { ':path': '//admin' },
        { ':path': 'a' },
        { ':scheme': 'ftp', ':authority': 'u@a' },
        { ':authority': 'a,b' },
        { ':method': 'CONNECT', ':protocol': 'websocket' },
      ];
      const outcomes = await Promise.all(odd.map((headers) => wire.overHttp2(listener, headers)));
      expect(outcomes).not.toContain(200);
      expect(await wire.overHttp2(listener, { ':path': '/fine' })).toBe(200);
      expect(wire.forwarded.map(({ url }) => url)).toEqual(['/fine']);
      // Of two hosts Envoy keeps one, which is the one that was checked.
      const status = await wire.overHttp2(listener, { ':path': '/two', ':authority': 'a', host: 'b' });
      const hosts = (wire.forwarded[1]?.headers ?? []).filter(([name]) => name === 'host').map(([, value]) => value);
      expect(hosts).toEqual(status === 200 ? [seen.at(-1)?.call.host] : []);
    });

    it.each<[string, OneHandler, 'internal' | 'check.deadline']>([
      [
        'throws',
        () => {
          throw new Error('bug');
        },
        'internal',
      ],
      ['rejects', () => Promise.reject(new Error('bug')), 'internal'],
      ['never answers', () => new Promise<never>(() => {}), 'check.deadline'],
      ['answers nothing', async () => new Uint8Array(0), 'internal'],
      [
        'has a check that throws',
        handlerOf(() => {
          throw new Error('bug');
        }),
        'internal',
      ],
      [
        'has a check that answers nonsense',
        handlerOf(async () => ({ ...answerWith({ decision: {} as never }) })),
        'internal',
      ],
    ])('denies a request whose handler %s, even if errors let requests pass', async (_name, handler, reason) => {
      wire.handler = handler;
      const listeners = ['raw', 'merged', 'open'] as const;
      const asked = async () => {
        wire.forwarded.length = 0;
        return Promise.all(listeners.map((listener) => wire.to(listener, get('/'))));
      };
      let answers = await asked();
      // On a busy machine the answer at the deadline may come after Envoy has given up. All others come at once.
      const most = reason === 'check.deadline' ? 5 : 1;
      for (let tries = 1; tries < most && answers.some(({ status }) => status !== 503); tries += 1)
        answers = await asked();
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 503, body: expect.stringContaining(`"${reason}"`) });
        expect(answer.headers.get('x-remit-decision')).toMatch(
          new RegExp(`^deny;reason=${reason.replace('.', '[.]')};id="[0-9a-f-]{36}"$`),
        );
      }
      expect(wire.forwarded).toEqual([]);
    });

    it('forwards nothing when the answer is garbage', async () => {
      for (const bytes of ['ff', '0aff', '12', 'deadbeef', '0b']) {
        wire.handler = async () => Buffer.from(bytes, 'hex');
        for (const listener of ['raw', 'merged'] as const) expect((await wire.to(listener, get('/'))).status).toBe(502);
      }
      expect(wire.forwarded).toEqual([]);
    });

    it('denies requests beyond the bound, even if errors let requests pass', async () => {
      // Checks wait until one more was refused.
      const { promise: refused, resolve } = Promise.withResolvers<void>();
      wire.handler = async (bytes, call) => {
        await refused;
        return handlerOf(allow)(bytes, call);
      };
      const asked = async () => {
        const answered = await wire.to('open', get('/'));
        if (answered.status === 503) resolve();
        return answered;
      };
      const answers = await Promise.all(Array.from({ length: 48 }, asked));
      const shed = answers.filter(({ status }) => status === 503);
      expect(answers.filter(({ status }) => status === 200).length).toBe(answers.length - shed.length);
      expect(shed.length).toBeGreaterThan(0);
      for (const { headers } of shed) {
        expect(headers.get('x-remit-decision')).toMatch(/^deny;reason=overloaded;/);
        expect(headers.get('retry-after')).toBe('1');
      }
      expect(wire.forwarded).toHaveLength(answers.length - shed.length);
      await until(() => wire.server.inFlight === 0);
    });

    // Nothing is checked from here on.
    it('finishes a check in progress when it closes, and forwards nothing afterwards', async () => {
      const waiting: (() => void)[] = [];
      wire.handler = async (bytes, call) => {
        await new Promise<void>((resolve) => waiting.push(resolve));
        return handlerOf(allow)(bytes, call);
      };
      const inFlight = wire.to('raw', get('/last'));
      await until(() => waiting.length === 1);
      const closed = wire.server.close(2_000);
      waiting[0]?.();
      expect((await inFlight).status).toBe(200);
      await closed;
      expect((await wire.to('raw', get('/after'))).status).toBe(502);
      expect(wire.forwarded.map(({ url }) => url)).toEqual(['/last']);
    });

    it('has the decisions and their ids in the access log', async () => {
      await wire.envoy.stop();
      const lines = wire.envoy.accessLog().map((line): unknown => JSON.parse(line));
      const denied = {
        decision: 'deny',
        reason: 'task.exhausted',
        decision_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      };
      expect(lines).toContainEqual({ status: 403, details: 'ext_authz_denied', metadata: denied });
      const allowed = expect.objectContaining({ decision_id: denied.decision_id, task_id: 'task-1' });
      expect(lines).toContainEqual({ status: 200, details: 'via_upstream', metadata: allowed });
      // Of an allow, ids alone.
      expect(JSON.stringify(lines)).not.toMatch(/"decision":"allow"|"a\.b"/);
      expect(JSON.stringify(lines)).not.toMatch(/failure_mode_allowed/);
    });
  });
}
