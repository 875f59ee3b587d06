import { isIP } from 'node:net';
import { join } from 'node:path';
import { isMap, isSeq, parseDocument } from 'yaml';
import { envoyConfigWithSpire } from './envoy-config.ts';
import { guideLink } from '../../core/config/guide.ts';
import { ROUTE_CONFIG, STREAMED } from './server-routes.ts';
import type { Answers } from './answers.ts';
import { envoyId } from './identities.ts';

const HEAD = ` Envoy in front of the tool server, with Remit asked about every call and certificates from SPIRE. Written by \`remit init\`
 from the shipped envoy-spire.yaml. \`remit help install/envoy\` says what each part is for
 and what must not be relaxed. Needs Envoy 1.36.10, 1.37.6, 1.38.4, 1.39.1 or 1.40.0 at least.`;

/** The comment at the top of `envoy.yaml` while all calls are observed. */
export const OBSERVING_HEAD = ` Envoy in front of the tool server while all its calls are observed: what Remit's policies deny passes, and so does every call
 while Remit is away. Written by \`remit init --observe\`. Before anything here is enforced, \`enforcing/envoy.yaml\` takes its place.
 Needs Envoy 1.36.10, 1.37.6, 1.38.4, 1.39.1 or 1.40.0 at least.`;

const VIRTUAL_HOSTS = [...ROUTE_CONFIG, 'virtual_hosts'];
const CLUSTERS = ['static_resources', 'clusters'];
/** The example tool servers of the shipped file. */
const EXAMPLES: ReadonlySet<unknown> = new Set(['payments', 'files']);

/**
 * The shipped configuration `text` (`envoy-spire.yaml`) for these answers, ready to start. Throws if the shipped file lacks a
 * place to change.
 */
export function envoyFileFrom(text: string, answers: Answers): string {
  const { folder, trustDomain, upstream, listen, workloadApi, tools } = answers;
  const addressed = envoyConfigWithSpire(
    // The written file is not beside the guide.
    text.replaceAll(/\.\.\/guide\/([a-z/-]{1,64})\.md/g, (_link, page: string) => guideLink(page, undefined)),
    {
      listener: listen,
      adminSocket: join(folder, 'run/envoy-admin.sock'),
      remitSocket: join(folder, 'run/check.sock'),
      payments: upstream,
      files: upstream,
      collector: null,
    },
    { socket: workloadApi, id: envoyId(answers), trustDomain },
  );
  const document = parseDocument(addressed);
  document.commentBefore = HEAD;
  replaceExamples(document.getIn(VIRTUAL_HOSTS), document.createNode(virtualHost(tools)));
  replaceExamples(document.getIn(CLUSTERS), document.createNode(cluster(answers)));
  return document.toString({ lineWidth: 0 });
}

/** Replaces the example tool servers with `node` in a list of named entries. */
function replaceExamples(list: unknown, node: ReturnType<ReturnType<typeof parseDocument>['createNode']>): void {
  if (!isSeq(list)) throw new Error('the envoy configuration has no list of hosts or clusters');
  const at = list.items.findIndex(isExample);
  if (at === -1) throw new Error('the envoy configuration has no example tool server');
  list.items = [...list.items.slice(0, at), node, ...list.items.slice(at).filter((item) => !isExample(item))];
}

const isExample = (item: unknown): boolean => isMap(item) && EXAMPLES.has(item.get('name'));

const virtualHost = (tools: string): object => ({
  name: 'tools',
  domains: [tools],
  routes: [
    { match: { path: '/mcp' }, route: { cluster: 'tools', ...STREAMED } },
    { match: { prefix: '/' }, route: { cluster: 'tools', timeout: '15s' } },
  ],
});

const cluster = (answers: Answers): object => ({
  name: 'tools',
  type: isIP(answers.upstream.host) === 0 ? 'STRICT_DNS' : 'STATIC',
  connect_timeout: '1s',
  per_connection_buffer_limit_bytes: 1_048_576,
  ...(answers.tool === null ? {} : { transport_socket: mutualTls(answers, answers.tool) }),
  load_assignment: {
    cluster_name: 'tools',
    endpoints: [
      {
        lb_endpoints: [
          {
            endpoint: {
              address: { socket_address: { address: answers.upstream.host, port_value: answers.upstream.port } },
            },
          },
        ],
      },
    ],
  },
});

/** Envoy's own SVID, and a tool server that has the SPIFFE ID `tool`. */
const mutualTls = (answers: Answers, tool: string): object => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
      tls_certificate_sds_secret_configs: [{ name: envoyId(answers), sds_config: spireSource }],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: tool } }],
        },
        validation_context_sds_secret_config: { name: `spiffe://${answers.trustDomain}`, sds_config: spireSource },
      },
    },
  },
});

const spireSource = {
  resource_api_version: 'V3',
  api_config_source: {
    api_type: 'GRPC',
    transport_api_version: 'V3',
    set_node_on_first_message_only: true,
    grpc_services: [{ envoy_grpc: { cluster_name: 'spire_agent' } }],
  },
};
