import { isDeny } from '../../core/decision/decision.ts';
import { type SpiffeId, spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';

/** Which CA certificates verify an upstream: those of the trust domain, of the system, or of a PEM file. */
export type UpstreamAuthorities = 'bundle' | 'system' | { readonly file: string };

/** One `--forward`, as written. */
export interface ForwardOption {
  /** Letters, digits and hyphens; names the variables. */
  readonly name: string;
  /** The upstream: an https: URL without trailing slash, query and fragment, or an http: URL of the mesh; `null`: the URL of the resource. */
  readonly url: string | null;
  /** The resource of its token; `null`: the resource follows from the URL. */
  readonly resource: string | null;
  /** The local port; 0 for a free port. */
  readonly port: number;
  /** The host and port to connect to, if not those of the URL. */
  readonly connect: { readonly host: string; readonly port: number } | null;
  readonly authorities: UpstreamAuthorities;
  /** The SPIFFE ID of the upstream's certificate; `null` checks the host of the URL. */
  readonly id: SpiffeId | null;
  /** Whether WebSocket connections are passed on. */
  readonly upgrades: boolean;
}

/** The words of the help. */
const FORWARD_RULE =
  '`NAME[=URL]`, then any of `,port=`, `,connect=HOST:PORT`, `,resource=`, `,ca=bundle|system|FILE`, `,id=spiffe://…` and `,upgrade=websocket`';

type Settings = { -readonly [Key in keyof ForwardOption]: ForwardOption[Key] };

/** How each setting changes an option, or what its value must be. */
const settings: ReadonlyMap<string, (value: string, option: Settings) => string | null> = new Map([
  [
    'port',
    (value, option) => {
      option.port = Number(value);
      return /^[1-9]\d{0,4}$/.test(value) && option.port <= MAX_PORT ? null : 'a port, 1 to 65535';
    },
  ],
  [
    'connect',
    (value, option) => {
      const [, host = '', port = ''] = /^(?:\[(?=.*\]))?([^[\]]+?)\]?:([1-9]\d{0,4})$/.exec(value) ?? [];
      option.connect = { host, port: Number(port) };
      return host !== '' && Number(port) <= MAX_PORT ? null : '`HOST:PORT`';
    },
  ],
  [
    'resource',
    (value, option) => {
      option.resource = value;
      return value === '' ? 'a resource of the intent' : null;
    },
  ],
  [
    'ca',
    (value, option) => {
      option.authorities = value === 'bundle' || value === 'system' ? value : { file: value };
      return value === '' ? '`bundle`, `system` or a PEM file' : null;
    },
  ],
  [
    'id',
    (value, option) => {
      const id = spiffeIdFrom(value);
      if (isDeny(id)) return `a SPIFFE ID: ${id.detail}`;
      option.id = id;
      return null;
    },
  ],
  [
    'upgrade',
    (value, option) => {
      option.upgrades = true;
      return value === 'websocket' ? null : '`websocket`';
    },
  ],
]);

const MAX_PORT = 65_535;
// oxlint-disable-next-line remit/linear-expression -- our own words, without repetition
const separator = new RegExp(`,(?=(?:${[...settings.keys()].join('|')})=)`);

/** Parses the values of all `--forward` of a command. */
export function forwardOptionsFrom(words: readonly string[]): readonly ForwardOption[] | Problem {
  const options: ForwardOption[] = [];
  for (const word of words) {
    const option = forwardOptionFrom(word);
    if (isProblem(option)) return { problem: `--forward \`${word}\` ${option.problem}` };
    options.push(option);
  }
  const variables = options.flatMap(({ name }) => forwardVariables(name));
  const twice = variables.find((variable, at) => variables.indexOf(variable) !== at);
  return twice === undefined ? options : { problem: `two --forward would set the variable ${twice}` };
}

/** The variables of an upstream: its local URL, and its Unix socket. */
export const forwardVariables = (name: string): readonly [url: string, socket: string] => {
  const variable = `REMIT_FORWARD_${name.toUpperCase().replaceAll('-', '_')}`;
  return [variable, `${variable}_SOCKET`];
};

function forwardOptionFrom(word: string): ForwardOption | Problem {
  const [first = '', ...others] = word.split(separator);
  const [, name = '', url] = /^([^=]*)(?:=(.*))?$/s.exec(first) ?? [];
  if (!/^[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*$/.test(name) || name.length > MAX_NAME) {
    return { problem: `must be ${FORWARD_RULE}; a name has letters, digits and hyphens, at most ${MAX_NAME}` };
  }
  const upstream = url === undefined ? null : upstreamUrlFrom(url, IN_MESH);
  if (isProblem(upstream)) return upstream;
  const option: Settings = {
    name,
    url: upstream,
    resource: null,
    port: 0,
    connect: null,
    authorities: 'bundle',
    id: null,
    upgrades: false,
  };
  for (const other of others) {
    const [, key = '', value = ''] = /^([a-z]+)=(.*)$/s.exec(other) ?? [];
    const rule = settings.get(key)?.(value, option) ?? null;
    if (rule !== null) return { problem: `setting \`${key}\` must be ${rule}` };
    if (upstream?.startsWith('http:') === true && (key === 'ca' || key === 'id'))
      return { problem: `setting \`${key}\` is for an https: URL: in a mesh the sidecar verifies the upstream` };
  }
  return option;
}

const MAX_NAME = 32;

const HTTPS: ReadonlySet<string> = new Set(['https:']);
/** Plaintext only to a sidecar of this pod: `mesh-connection.ts` checks that. */
const IN_MESH: ReadonlySet<string> = new Set(['https:', 'http:']);

/** An upstream's URL without its trailing slash. */
export function upstreamUrlFrom(text: string, protocols = HTTPS): string | Problem {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain =
    url !== null &&
    protocols.has(url.protocol) &&
    !/[?#\s\\]/.test(text) &&
    url.username === '' &&
    url.password === '' &&
    url.host !== '';
  if (!isPlain) return { problem: 'must name an https: URL without query, fragment and credentials' };
  return `${url.origin}${url.pathname.replace(/\/$/, '')}`;
}
