import { basename, join, resolve } from 'node:path';
import { isIP, isIPv4 } from 'node:net';
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom, trustDomainFrom } from '../../core/identity/spiffe-id.ts';
import { workloadApiTargetFrom } from '../../core/identity/workload-api-address.ts';
import { isLoopback } from '../../core/runtime/loopback-host.ts';
import { nearestOf } from '../../core/runtime/nearest-name.ts';

/** The hosts that `remit init` writes a configuration for. */
export const HOSTS = [
  'envoy',
  'istio',
  'istio-waypoint',
  'envoy-gateway',
  'agentgateway',
  'kgateway',
  'consul',
] as const;

/** What asks Remit. */
export type Host = (typeof HOSTS)[number];

/** A host and port of a service. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The names of the questions. */
export type QuestionName =
  | 'host'
  | 'trust-domain'
  | 'upstream'
  | 'tools'
  | 'agent'
  | 'tool'
  | 'listen'
  | 'issuer'
  | 'workload-api'
  | 'parent'
  | 'selector';

/** Everything that the files are made from, checked. */
export interface Answers {
  readonly host: Host;
  /** Absolute path of the folder that the files go to. */
  readonly folder: string;
  readonly trustDomain: string;
  /** The tool server behind Envoy. */
  readonly upstream: Endpoint;
  /** The host name that agents call it by. */
  readonly tools: string;
  readonly agent: string;
  /** SPIFFE ID of the tool server, for mutual TLS to it; `null`: in plaintext, which `--host envoy` accepts on loopback only. */
  readonly tool: string | null;
  /** Envoy's address for agents. */
  readonly listen: Endpoint;
  /** `issuer.url`. */
  readonly issuer: string;
  /** Path of the Unix socket of the SPIRE agent. */
  readonly workloadApi: string;
  /** Parent of the registration entries: the SPIFFE ID of the SPIRE agent. */
  readonly parent: string;
  /** One selector for all three entries; `null`: a user each. */
  readonly selector: string | null;
}

/** The answers as texts; those that are missing have their default. */
export type Given = Readonly<Partial<Record<QuestionName, string>>>;

/** One question: an option of the command, and asked on a terminal if `ask` says how. */
export interface InitQuestion {
  readonly name: QuestionName;
  /** How it is asked; `null`: only an option. */
  readonly ask: string | null;
  /** Placeholder and meaning, for `--help`. */
  readonly help: readonly [placeholder: string, meaning: string];
  /** The default, from the answers before; `null` if there is none. */
  readonly byDefault: (given: Given) => string | null;
  /** What is wrong with an answer; `null` if nothing is. */
  readonly problem: (text: string, given: Given) => string | null;
}

/** The URL of the chart's issuer. */
const CLUSTER_ISSUER = 'https://remit-authority.remit.svc:9472';

const domainOf = (given: Given): string => given['trust-domain'] ?? '';

/** A host whose parts run in pods, with SPIFFE IDs of namespace and service account. */
const isPodHost = ({ host }: Given): boolean => host !== undefined && host !== 'envoy';

const idProblem = (text: string, given: Given): string | null => {
  const id = spiffeIdFrom(text);
  if (isDeny(id)) return id.detail;
  return text.startsWith(`spiffe://${domainOf(given)}/`)
    ? null
    : `must be an ID of the trust domain \`${domainOf(given)}\``;
};

/** All questions, in the order they are asked. */
export const QUESTIONS: readonly InitQuestion[] = [
  {
    name: 'host',
    ask: `what asks Remit (${HOSTS.join(', ')})`,
    help: ['HOST', `what asks Remit: ${HOSTS.join(', ')}; default envoy`],
    byDefault: () => 'envoy',
    problem: (text) => {
      if (HOSTS.some((host) => host === text)) return null;
      const near = nearestOf(text, HOSTS);
      return `must be one of ${HOSTS.join(', ')}${near === null ? '' : `; did you mean \`${near}\`?`}`;
    },
  },
  {
    name: 'trust-domain',
    ask: 'SPIFFE trust domain, such as acme.test',
    help: ['NAME', 'your SPIFFE trust domain, such as acme.test; required'],
    byDefault: () => null,
    problem: (text) => {
      const name = trustDomainFrom(text);
      return isDeny(name) ? name.detail : null;
    },
  },
  {
    name: 'upstream',
    ask: 'address of the tool server',
    help: [
      'HOST:PORT',
      'the tool server behind envoy, envoy-gateway or agentgateway, whose files have its address; default 127.0.0.1:8080',
    ],
    byDefault: () => '127.0.0.1:8080',
    problem: (text, given) => {
      const at = endpointFrom(text);
      if (at === null) return 'must be HOST:PORT, such as 127.0.0.1:8080';
      // The files of a gateway have a place for an IPv4 address alone.
      return isPodHost(given) && !isIPv4(at.host) ? 'must be an IPv4 address and a port, such as 10.0.0.8:8080' : null;
    },
  },
  {
    name: 'tools',
    ask: 'host name that agents call it by',
    help: ['NAME', 'the host name that agents call it by; default `tools.` and the trust domain'],
    byDefault: (given) => `tools.${domainOf(given)}`,
    problem: (text) =>
      isName(text) ? null : 'must be a host name in lower case without port, such as tools.acme.test',
  },
  {
    name: 'agent',
    ask: 'SPIFFE ID of the first agent',
    help: [
      'ID',
      'the SPIFFE ID of the first agent; default `spiffe://NAME/agents/planner`, in a mesh `spiffe://NAME/ns/agents/sa/planner`',
    ],
    byDefault: (given) => `spiffe://${domainOf(given)}/${isPodHost(given) ? 'ns/agents/sa' : 'agents'}/planner`,
    problem: idProblem,
  },
  {
    name: 'tool',
    ask: null,
    help: ['ID', 'the SPIFFE ID of the tool server, for mutual TLS to it; required if it is on another machine'],
    byDefault: () => null,
    problem: idProblem,
  },
  {
    name: 'listen',
    ask: null,
    help: ['HOST:PORT', 'where Envoy listens for agents; default 127.0.0.1:8443'],
    byDefault: () => '127.0.0.1:8443',
    problem: (text) => {
      const at = endpointFrom(text);
      return at === null || isIP(at.host) === 0 ? 'must be an IP address and a port, such as 0.0.0.0:8443' : null;
    },
  },
  {
    name: 'issuer',
    ask: null,
    help: ['URL', `the URL of the token issuer; default https://localhost:9472, in a mesh ${CLUSTER_ISSUER}`],
    byDefault: (given) => (isPodHost(given) ? CLUSTER_ISSUER : 'https://localhost:9472'),
    problem: (text) =>
      issuerPortOf(text) === null ? 'must be https://HOST:PORT, such as https://remit.acme.test:9472' : null,
  },
  {
    name: 'workload-api',
    ask: null,
    help: [
      'SOCKET',
      'the socket of the SPIRE agent; default SPIFFE_ENDPOINT_SOCKET, else that of SPIRE, in a mesh that of its CSI driver',
    ],
    byDefault: (given) =>
      isPodHost(given) ? 'unix:///spiffe-workload-api/spire-agent.sock' : 'unix:///tmp/spire-agent/public/api.sock',
    problem: (text) => {
      const target = workloadApiTargetFrom(text);
      if (typeof target !== 'string') return target.problem;
      return target.startsWith('unix:') ? null : 'must be a Unix socket, such as unix:///run/spire/agent.sock';
    },
  },
  {
    name: 'parent',
    ask: null,
    help: [
      'ID',
      'the SPIFFE ID of the SPIRE agent, which `spire-server agent list` shows; default `spiffe://NAME/node`',
    ],
    byDefault: (given) => `spiffe://${domainOf(given)}/node`,
    problem: idProblem,
  },
  {
    name: 'selector',
    ask: null,
    help: [
      'SELECTOR',
      'one SPIRE selector for Remit, Envoy and the agent, such as unix:uid:1000, to try it; default a user each, in a mesh namespace and service account',
    ],
    byDefault: () => null,
    problem: (text) =>
      /^[a-z0-9_]+:[\x20-\x7e]{1,512}$/.test(text) ? null : 'must be TYPE:VALUE, such as unix:uid:1000',
  },
];

/**
 * The answers, or every problem at once, each with the option it is about.
 *
 * @param given with the defaults of missing answers
 */
export function answersFrom(folder: string, given: Given): Answers | { readonly problems: readonly string[] } {
  const asked = problemsOf(given);
  const path = resolve(folder);
  const problems = [...asked, ...folderProblems(path)];
  if (problems.length > 0) return { problems };
  const of = (name: QuestionName): string => given[name] ?? '';
  const upstream = endpointFrom(of('upstream')) ?? { host: '', port: 0 };
  const tool = given.tool ?? null;
  if (given.host === 'envoy' && tool === null && !isLoopback(upstream.host))
    return {
      problems: [
        `--upstream \`${of('upstream')}\` is on another machine: name the SPIFFE ID of the tool server with --tool, so that no call crosses the network in clear`,
      ],
    };
  return {
    host: HOSTS.find((host) => host === given.host) ?? 'envoy',
    folder: path,
    trustDomain: of('trust-domain'),
    upstream,
    tools: of('tools'),
    agent: of('agent'),
    tool,
    listen: endpointFrom(of('listen')) ?? { host: '', port: 0 },
    issuer: of('issuer'),
    workloadApi: of('workload-api').replace(/^unix:(?:\/\/)?/, ''),
    parent: of('parent'),
    selector: given.selector ?? null,
  };
}

/** The hosts of a question that is not for all of them: the files of others have no place for its answer. */
const HOSTS_OF: ReadonlyMap<QuestionName, readonly Host[]> = new Map<QuestionName, readonly Host[]>([
  ['upstream', ['envoy', 'envoy-gateway', 'agentgateway']],
  ['tool', ['envoy']],
  ['listen', ['envoy']],
]);

/** Whether the files of the given host have a place for the answer of a question. */
export const isForHost = ({ name }: InitQuestion, { host }: Given): boolean =>
  HOSTS_OF.get(name)?.some((one) => one === (host ?? 'envoy')) ?? true;

function problemsOf(given: Given): readonly string[] {
  if (given['trust-domain'] === undefined) return ['--trust-domain is required'];
  return QUESTIONS.flatMap((question) => {
    const text = given[question.name];
    // A default that follows from a wrong answer is not reported in addition to it.
    if (text === undefined || text === question.byDefault(given)) return [];
    const found = isForHost(question, given)
      ? question.problem(text, given)
      : `goes with --host ${(HOSTS_OF.get(question.name) ?? HOSTS).join(', ')} alone`;
    return found === null ? [] : [`--${question.name} \`${printed(text)}\`: ${found}`];
  });
}

/** Adds the default of a question that has no answer. */
export const withDefault = (given: Given, { name, byDefault }: InitQuestion): Given => {
  const text = given[name] ?? byDefault(given);
  return text === null ? given : { ...given, [name]: text };
};

/** The port of an issuer URL; `null` if the URL has another form. */
export function issuerPortOf(url: string): number | null {
  const [, port] = /^https:\/\/[A-Za-z0-9.-]{1,253}:(\d{1,5})$/.exec(url) ?? [];
  return port !== undefined && isPort(Number(port)) ? Number(port) : null;
}

/** The longest path of a Unix socket on Linux. */
const MAX_SOCKET_BYTES = 107;
/** The longest socket below the folder. */
const LONGEST_SOCKET = 'run/envoy-admin.sock';

function folderProblems(path: string): readonly string[] {
  if (/\p{C}/u.test(path)) return [`the folder \`${printed(path)}\` has a control character in its path`];
  const bytes = Buffer.byteLength(join(path, LONGEST_SOCKET));
  return bytes > MAX_SOCKET_BYTES
    ? [
        `the folder \`${basename(path)}\` has too long a path: a socket has at most ${MAX_SOCKET_BYTES} bytes, and \`${LONGEST_SOCKET}\` below it would have ${bytes}`,
      ]
    : [];
}

function endpointFrom(text: string): Endpoint | null {
  const [, ipv6, name = '', digits = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || !isPort(port)) return null;
  if (ipv6 !== undefined) return isIP(ipv6) === 6 ? { host: ipv6, port } : null;
  return isIP(name) === 4 || isName(name) ? { host: name, port } : null;
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535;

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
// oxlint-disable-next-line remit/linear-expression -- at most 253 characters
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
/** A DNS name in lower case; its last label is not a number, so that it is no mistyped address. */
const isName = (text: string): boolean => text.length <= 253 && NAME.test(text) && !/(?:^|\.)\d{1,63}$/.test(text);

/** A value for a message: short, and without characters that control a terminal. */
const printed = (text: string): string => text.slice(0, 100).replaceAll(/\p{C}/gu, '?');
