import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { compressionAlgorithms, credentials, loadPackageDefinition, Metadata, status } from '@grpc/grpc-js';
import type { ClientReadableStream, ClientWritableStream, ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import { forwardOptionsFrom } from '../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../src/agent/forward/forward-target.ts';
import { openForwarders } from '../../src/agent/forward/forwarders.ts';
import { OwnSvid } from '../../src/agent/run/own-svid.ts';
import { Agent } from '../../src/dev/agent.ts';
import { writeCredential } from '../../src/dev/authority.ts';
import type { IssuedSvid } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { encoded, shopService, shopSet } from '../core/action/grpc/protobuf/shop.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ledgerTimeline } from '../builders/ledger-timeline.ts';
import { writePolicies } from './written-policies.ts';
import { mustDeclare, startDomain } from './domain.ts';
import { startShopServer } from './shop-server.ts';
import type { ShopServer } from './shop-server.ts';

const HOST = 'files.acme.test';
const AUDIENCE = `https://${HOST}`;

const CATALOG = `servers:
  files:
    hosts: [${HOST}]
    audience: ${AUDIENCE}
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder: { action: files.order, risk: low, args: { customer: {}, amount: { field: order.amount_cents, type: long, required: true } } }
            Watch: { action: files.watch, risk: low, args: { customer: { required: true } } }
            Upload: { action: files.upload, risk: low }
`;

const POLICIES = `
@id("shop")
permit (principal in Remit::AgentGroup::"agents", action, resource in Remit::Server::"files")
unless { action == Remit::Action::"issue" };

@id("issue-shop")
permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"issue", resource in Remit::Server::"files");

@id("small-orders")
@reason("orders over 100.00 are placed by people")
forbid (principal, action == Remit::Action::"files.order", resource)
when { context.args.amount > 10000 };

@id("watch-own")
forbid (principal, action == Remit::Action::"files.watch", resource)
unless { context.args.customer == "ada" };
`;

/** The shipped configuration with an HTTP/2 tool server, and one method whose stream is not buffered. */
function withGrpc(shipped: string): string {
  const cluster = '    - name: files\n      type: STATIC\n';
  const route =
    '                        - match: { prefix: / }\n                          route: { cluster: files, timeout: 15s }\n';
  expect(shipped).toContain(cluster);
  expect(shipped).toContain(route);
  const streaming = `- match: { path: /acme.shop.v1.Shop/Upload }
                          route: { cluster: files, timeout: 15s }
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              check_settings: { disable_request_body_buffering: true }
`;
  return shipped
    .replace(cluster, `${cluster}      typed_extension_protocol_options: *http2\n`)
    .replace(route, `                        ${streaming}${route}`);
}

/** The result of a call: its gRPC status, the reason of a denial, and the answer. */
interface Outcome {
  readonly code: number;
  readonly reason: string | null;
  readonly answer?: unknown;
}

const outcomeOf = (error: ServiceError | null, answer?: unknown): Outcome => {
  const decision = error?.metadata?.get('x-remit-decision')[0]?.toString();
  return { code: error?.code ?? 0, reason: /reason=([a-z.-]+)/.exec(decision ?? '')?.[1] ?? null, answer };
};

const order = (cents: number): Uint8Array => encoded({ customer: 'ada', order: { amount_cents: cents } });

/** A real grpc-js client and server, with a real Envoy and Remit between them. */
describeWith(envoyPart(), 'gRPC through Envoy, with grpc-js', (envoy) => {
  const scratch = testFolder(async () => {
    client?.close();
    agent?.close();
    await domain?.stop();
    server?.close();
  });
  let server: ShopServer;
  let domain: DevDomain;
  let agent: Agent;
  let svid: IssuedSvid;
  let token: string;
  let client: InstanceType<ServiceClientConstructor>;

  beforeAll(async () => {
    server = await startShopServer();
    const policies = join(scratch.folder, 'policies');
    await writePolicies(policies, { 'actions.yaml': CATALOG, 'shop.binpb': shopSet, 'shop.cedar': POLICIES });
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies,
      filesServer: server.address,
      envoyConfig: withGrpc,
    });
    svid = await domain.authority.svid('/ns/agents/sa/planner');
    agent = new Agent(svid, domain.authority.bundlePem);
    token = await tokenFor(['files.order', 'files.watch', 'files.upload']);
    client = connected();
  });

  function connected(options: Readonly<Record<string, unknown>> = {}): InstanceType<ServiceClientConstructor> {
    const { acme } = loadPackageDefinition({ 'acme.shop.v1.Shop': shopService }) as never as {
      acme: { shop: { v1: { Shop: ServiceClientConstructor } } };
    };
    const identity = credentials.createSsl(
      Buffer.from(domain.authority.bundlePem),
      Buffer.from(svid.keyPem),
      Buffer.from(svid.certPem),
    );
    return new acme.shop.v1.Shop(`127.0.0.1:${domain.stage.envoyPort}`, identity, {
      'grpc.ssl_target_name_override': HOST,
      'grpc.default_authority': HOST,
      ...options,
    });
  }

  const tokenFor = async (actions: readonly string[]): Promise<string> =>
    (await mustDeclare(agent, domain, { actions, purpose: 'order what is missing', audience: AUDIENCE })).token;

  const metadata = (): Metadata => {
    const made = new Metadata();
    made.set('authorization', `Bearer ${token}`);
    return made;
  };

  /** Sends these bytes as the only message of the call. */
  const place = (bytes: Uint8Array, by = client, sent = metadata()): Promise<Outcome> =>
    new Promise((resolve) => {
      by.makeUnaryRequest(
        '/acme.shop.v1.Shop/PlaceOrder',
        (one: Uint8Array) => Buffer.from(one),
        (one: Buffer) => one.toString('latin1'),
        bytes,
        sent,
        { deadline: Date.now() + 10_000 },
        (error, answer) => resolve(outcomeOf(error, answer)),
      );
    });

  it('an allowed message arrives unchanged', async () => {
    expect(await place(order(10_000))).toMatchObject({ code: status.OK, reason: null, answer: '\n\x03o-1' });
    expect(server.arrived.at(-1)).toMatchObject({
      method: 'PlaceOrder',
      request: { customer: 'ada', order: { amount_cents: '10000' } },
      decision: expect.stringMatching(/^allow;/),
    });
  });

  it.each<readonly [string, () => Promise<Outcome>, number, string]>([
    ['a message that a policy forbids', () => place(order(10_001)), status.PERMISSION_DENIED, 'policy.forbidden'],
    [
      'a repeated field, of which the server would use the last',
      () => place(Buffer.concat([order(1), order(1_000_000)])),
      status.PERMISSION_DENIED,
      'action.arguments',
    ],
    [
      'a message without a required field',
      () => place(encoded({ customer: 'ada' })),
      status.PERMISSION_DENIED,
      'action.arguments',
    ],
    [
      'an amount beyond the safe integers',
      () => place(encoded({ order: { amount_cents: '9007199254740993' } })),
      status.PERMISSION_DENIED,
      'action.arguments',
    ],
    [
      'a message with too many fields',
      () => place(Buffer.alloc(2 * 8193, Buffer.from([0x58, 1]))),
      status.PERMISSION_DENIED,
      'request.too-large',
    ],
    ['invalid bytes', () => place(Buffer.from([0xff])), status.PERMISSION_DENIED, 'request.malformed'],
    [
      'a compressed message',
      async () => {
        const gzip = connected({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
        const outcome = await place(encoded({ customer: 'a'.repeat(2000), order: { amount_cents: 1 } }), gzip);
        gzip.close();
        return outcome;
      },
      status.PERMISSION_DENIED,
      'request.unsupported',
    ],
  ])('%s is denied and never arrives', async (_name, run, code, reason) => {
    const before = server.arrived.length;
    expect(await run()).toMatchObject({ code, reason });
    expect(server.arrived).toHaveLength(before);
  });

  const watch = (customer: string, by = client, sent = metadata()): Promise<readonly [readonly unknown[], Outcome]> =>
    new Promise((resolve) => {
      const got: unknown[] = [];
      const stream: ClientReadableStream<unknown> = by['Watch']?.({ customer }, sent);
      stream.on('data', (one) => got.push(one));
      stream.on('error', (error) => resolve([got, outcomeOf(error as ServiceError)]));
      stream.on('end', () => resolve([got, outcomeOf(null)]));
    });

  it('a stream of answers is decided by its only request message', async () => {
    expect(await watch('ada')).toMatchObject([[{ id: 'o-1' }, { id: 'o-2' }], { code: status.OK }]);
    expect(await watch('eve')).toMatchObject([[], { code: status.PERMISSION_DENIED, reason: 'policy.forbidden' }]);
  });

  it('a stream of requests is decided by its headers, and passes before it has ended', async () => {
    const before = server.arrived.length;
    const answered = Promise.withResolvers<Outcome>();
    const stream: ClientWritableStream<object> = client['Upload']?.(
      metadata(),
      (error: ServiceError | null, answer: unknown) => answered.resolve(outcomeOf(error, answer)),
    );
    stream.write({ customer: 'ada' });
    while (server.arrived.length === before) await new Promise((resolve) => setTimeout(resolve, 10));
    stream.write({ customer: 'eve' });
    stream.end();
    expect(await answered.promise).toMatchObject({ code: status.OK, answer: { id: 'all' } });
    expect(server.arrived.slice(before)).toMatchObject([
      { method: 'Upload', request: { customer: 'ada' } },
      { method: 'Upload', request: { customer: 'eve' } },
    ]);
  });

  it('a spent budget is not repeated by a retry policy, however much that repeats', async () => {
    const whole = token;
    const declared = { actions: ['files.order'], purpose: 'order once', audience: AUDIENCE };
    ({ token } = await mustDeclare(agent, domain, { ...declared, constraints: { max_calls: 1 } }));
    const retryPolicy = {
      maxAttempts: 5,
      initialBackoff: '0.01s',
      maxBackoff: '0.01s',
      backoffMultiplier: 1,
      retryableStatusCodes: ['UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'ABORTED', 'INTERNAL', 'UNKNOWN'],
    };
    const serviceConfig = JSON.stringify({ loadBalancingConfig: [], methodConfig: [{ name: [{}], retryPolicy }] });
    const patient = connected({ 'grpc.service_config': serviceConfig });
    expect(await place(order(1), patient)).toMatchObject({ code: status.OK });
    expect(await place(order(1), patient)).toMatchObject({ code: status.PERMISSION_DENIED, reason: 'task.exhausted' });
    patient.close();
    token = whole;
    expect(await reasonsRecorded()).toEqual([null, 'task.exhausted']);
  });

  /** The reasons of all uses of the last task, in order. */
  const reasonsRecorded = async (): Promise<readonly (string | null)[]> => {
    await domain.remit.flush();
    const uses = ledgerTimeline(scratch.folder).flatMap((record) => (record.kind === 'use' ? [record] : []));
    return uses.filter(({ task }) => task === uses.at(-1)?.task).map(({ reason }) => reason);
  };

  it('a client without token and certificate calls through the forwarder of a run', async () => {
    const { folder } = scratch;
    const files = await writeCredential(folder, 'forwarded', svid);
    const own = await OwnSvid.open({ kind: 'files', ...files, bundle: join(folder, 'bundle.pem') }, systemPorts);
    const options = forwardOptionsFrom([`shop=${AUDIENCE},connect=127.0.0.1:${domain.stage.envoyPort}`]);
    const targets = 'problem' in options ? options : forwardTargetsFrom(options, [AUDIENCE]);
    if ('problem' in targets) throw new Error(targets.problem);
    const credential = {
      taskId: '',
      token,
      type: 'Bearer',
      askedAtMs: Date.now(),
      expiresAtMs: Date.now() + 60_000,
      boundTo: own.thumbprint() ?? '',
    };
    const opened = await openForwarders(targets, {
      mcpServers: null,
      variables: {},
      svid: own,
      keeperOf: () => ({ current: async () => credential, another: async () => credential }),
      ports: systemPorts,
      tell: () => undefined,
      onFolder: () => undefined,
    });
    if ('problem' in opened) throw new Error(opened.problem);
    const { acme } = loadPackageDefinition({ 'acme.shop.v1.Shop': shopService }) as never as {
      acme: { shop: { v1: { Shop: ServiceClientConstructor } } };
    };
    const shop = new acme.shop.v1.Shop(
      `unix:${opened.variables['REMIT_FORWARD_SHOP_SOCKET'] ?? ''}`,
      credentials.createInsecure(),
    );
    const bare = new Metadata();
    try {
      expect(await place(order(10_000), shop, bare)).toMatchObject({ code: status.OK, answer: '\n\x03o-1' });
      const denied = { code: status.PERMISSION_DENIED, reason: 'policy.forbidden' };
      expect(await place(order(10_001), shop, bare)).toMatchObject(denied);
      expect(await watch('ada', shop, bare)).toMatchObject([[{ id: 'o-1' }, { id: 'o-2' }], { code: status.OK }]);
      const uploaded = Promise.withResolvers<Outcome>();
      const stream: ClientWritableStream<object> = shop['Upload']?.(
        bare,
        (error: ServiceError | null, answer: unknown) => uploaded.resolve(outcomeOf(error, answer)),
      );
      stream.write({ customer: 'ada' });
      stream.end();
      expect(await uploaded.promise).toMatchObject({ code: status.OK, answer: { id: 'all' } });
    } finally {
      shop.close();
      await opened.close();
      own.close();
    }
  });

  it('a stream without a token is denied', async () => {
    const answered = Promise.withResolvers<Outcome>();
    const stream: ClientWritableStream<object> = client['Upload']?.(new Metadata(), (error: ServiceError | null) =>
      answered.resolve(outcomeOf(error)),
    );
    stream.on('error', () => undefined);
    expect(await answered.promise).toMatchObject({ code: status.UNAUTHENTICATED, reason: 'token.missing' });
  });

  it('a stream outside the intent is denied before any of it arrives', async () => {
    const before = server.arrived.length;
    const whole = token;
    token = await tokenFor(['files.order']);
    const answered = Promise.withResolvers<Outcome>();
    const stream: ClientWritableStream<object> = client['Upload']?.(metadata(), (error: ServiceError | null) =>
      answered.resolve(outcomeOf(error)),
    );
    stream.on('error', () => undefined);
    stream.write({ customer: 'ada' });
    expect(await answered.promise).toMatchObject({ code: status.PERMISSION_DENIED, reason: 'action.outside-intent' });
    token = whole;
    expect(server.arrived).toHaveLength(before);
  });
});
