import { once } from 'node:events';
import { connect, createServer } from 'node:http2';
import type { ClientHttp2Session, Http2Server, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { mustDeclare, scratchFolder, startDomain } from './domain.ts';

const HOST = 'files.acme.test';
const MUTATION = 'envoy.filters.http.header_mutation';

/** The shipped configuration with a tool server that speaks HTTP/2: over HTTP/1 Envoy would drop trailers by itself. */
const withHttp2 = (shipped: string): string =>
  shipped.replace(
    '    - name: files\n      type: STATIC\n',
    '    - name: files\n      type: STATIC\n      typed_extension_protocol_options: *http2\n',
  );

/** The same without the filter that removes trailers. */
function withTrailers(shipped: string): string {
  const config = parse(shipped);
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.http_filters = manager.http_filters.filter(({ name }: { readonly name: string }) => name !== MUTATION);
  return stringify(config);
}

/** A tool server over HTTP/2 that answers with the trailers of each call. */
async function trailerServer(): Promise<Http2Server> {
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream) => {
    let trailers: object = {};
    stream.on('trailers', (sent) => (trailers = { ...sent }));
    stream.resume();
    stream.on('end', () => {
      stream.respond({ ':status': 200 });
      stream.end(JSON.stringify({ trailers }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Row HTTP 1 of the threat model, and what Envoy does without the filter. Issue 37, point 2. */
describeWith(envoyPart(), 'trailers of a request over HTTP/2 that nobody announced', (envoy) => {
  let server: Http2Server;
  const closers: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    server = await trailerServer();
  });

  afterAll(async () => {
    for (const close of closers.toReversed()) await close();
    server?.close();
  });

  async function arrivedThrough(envoyConfig: (shipped: string) => string): Promise<unknown> {
    const scratch = await scratchFolder('remit-trailers-');
    closers.push(scratch.remove);
    const { port } = server.address() as AddressInfo;
    const filesServer = { host: '127.0.0.1', port };
    const domain: DevDomain = await startDomain(envoy, { folder: scratch.folder, filesServer, envoyConfig });
    closers.push(() => domain.stop());
    const svid = await domain.authority.svid('/ns/agents/sa/planner');
    const agent = new Agent(svid, domain.authority.bundlePem);
    const audience = `https://${HOST}`;
    const { token } = await mustDeclare(agent, domain, { actions: ['files.read'], audience });
    agent.close();
    const session = connect(`https://127.0.0.1:${domain.stage.envoyPort}`, {
      ca: domain.authority.bundlePem,
      cert: svid.certPem,
      key: svid.keyPem,
      servername: HOST,
    });
    const reply = await withTrailer(session, token);
    session.close();
    return reply;
  }

  it('do not reach a tool through the shipped configuration', async () => {
    expect(await arrivedThrough(withHttp2)).toEqual({ status: 200, body: { trailers: {} } });
  });

  it('reach it without the filter that removes them, so the filter is needed', async () => {
    expect(await arrivedThrough((shipped) => withTrailers(withHttp2(shipped)))).toEqual({
      status: 200,
      body: { trailers: expect.objectContaining({ 'x-amount': '1000000', 'x-amount-bin': 'AAAA' }) },
    });
  });
});

async function withTrailer(session: ClientHttp2Session, token: string): Promise<object> {
  const call = session.request(
    { ':path': '/v1/files/a', ':authority': HOST, authorization: `Bearer ${token}` },
    { endStream: false, waitForTrailers: true },
  );
  call.on('wantTrailers', () => call.sendTrailers({ 'x-amount': '1000000', 'x-amount-bin': 'AAAA' }));
  call.end();
  const [headers] = (await once(call, 'response')) as [{ readonly ':status'?: number }];
  return { status: headers[':status'], body: JSON.parse(await text(call)) };
}
