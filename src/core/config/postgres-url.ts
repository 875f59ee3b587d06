import { isAbsolute } from 'node:path';
import type { Problem } from '../runtime/problem.ts';

/** A server of a PostgreSQL, or the folder of its socket. */
export interface PostgresHost {
  /** Name, address, or absolute path of the folder of the socket. */
  readonly host: string;
  readonly port: number;
}

/** The address of a PostgreSQL and how to log in. It holds no secret: those are in files, which are read for each connection. */
export interface PostgresTarget {
  /** Its servers, among them the primary. */
  readonly hosts: readonly PostgresHost[];
  readonly database: string;
  readonly user: string;
  /** `verify-full`: the certificate of the server must be of `rootCertFile`, or of a public authority, and name the host. */
  readonly tls: 'verify-full' | 'disable';
  readonly rootCertFile: string | null;
  /** The client certificate and its key. */
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly passwordFile: string | null;
  /** How long a server may take to connect and to answer. Default 5 s, 1 to 60. */
  readonly connectMs: number;
}

const DEFAULT_CONNECT_S = 5;
const DEFAULT_PORT = 5432;
const FORM = 'expected `postgres://USER@HOST[:PORT][,HOST[:PORT]]/DATABASE[?OPTION=VALUE&…]`';

/** The options of a URL, by the names that libpq has for them, and `passwordfile`. */
const OPTIONS = ['host', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'passwordfile', 'connect_timeout'] as const;
const NO_PATHS: ReadonlySet<string> = new Set(['sslmode', 'host', 'connect_timeout']);
type Options = Partial<Readonly<Record<(typeof OPTIONS)[number], string>>>;

/**
 * Reads the URL of a PostgreSQL: `postgres://remit_authority@db-1,db-2:5433/remit?passwordfile=/run/secrets/db`. TCP is verified TLS unless
 * `sslmode=disable`; `host=/run/postgresql` is a socket. A password in the URL is a problem, whose text does not have it.
 */
export function postgresTargetFrom(text: string): PostgresTarget | Problem {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)\/([^/?#]*)(?:\?([^#]*))?$/.exec(text);
  if (parts === null) return { problem: `is not the URL of a PostgreSQL: ${FORM}` };
  const [, login = '', list = '', path = '', query = ''] = parts;
  if (login.includes(':')) {
    return { problem: 'has a password: write it to a file with mode 0600 and name that as `passwordfile=/path`' };
  }
  const options = optionsFrom(query);
  if ('problem' in options) return options;
  const [user, database] = [decoded(login), decoded(path)];
  if (!user || !database) return { problem: `names no user or no database: ${FORM}` };
  const hosts = hostsFrom(list, options.host);
  if ('problem' in hosts) return hosts;
  const connectS = connectSecondsFrom(options.connect_timeout);
  if (typeof connectS !== 'number') return connectS;
  const { sslmode = 'verify-full', sslcert = null, sslkey = null } = options;
  if (sslmode !== 'verify-full' && sslmode !== 'disable') {
    return { problem: `has \`sslmode=${sslmode}\`: expected \`verify-full\` (the default) or \`disable\`` };
  }
  if ((sslcert === null) !== (sslkey === null)) return { problem: 'needs both `sslcert` and `sslkey`, or neither' };
  return {
    hosts,
    database,
    user,
    tls: hosts.every(({ host }) => isAbsolute(host)) ? 'disable' : sslmode,
    rootCertFile: options.sslrootcert ?? null,
    certFile: sslcert,
    keyFile: sslkey,
    passwordFile: options.passwordfile ?? null,
    connectMs: connectS * 1_000,
  };
}

/** Whole seconds, as libpq has them. */
function connectSecondsFrom(text = String(DEFAULT_CONNECT_S)): number | Problem {
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  return seconds >= 1 && seconds <= 60
    ? seconds
    : { problem: `has \`connect_timeout=${text}\`: expected whole seconds, 1 to 60` };
}

function hostsFrom(list: string, socket: string | undefined): readonly PostgresHost[] | Problem {
  if (list === '' || socket !== undefined) {
    if (list !== '' || socket === undefined) return { problem: `names its hosts twice, or not at all: ${FORM}` };
    const [, folder = '', port] = /^(.*?)(?::(\d+))?$/.exec(socket) ?? [];
    return isAbsolute(folder)
      ? [{ host: folder, port: port === undefined ? DEFAULT_PORT : Number(port) }]
      : { problem: `has \`host=${socket}\`: expected the absolute path of the folder of a socket` };
  }
  const hosts = list.split(',').map(hostFrom);
  const bad = hosts.find((host) => 'problem' in host);
  return bad ?? hosts.filter((host) => 'host' in host);
}

function hostFrom(text: string): PostgresHost | Problem {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  return host === undefined || number < 1 || number > 65_535
    ? { problem: `has the host \`${text}\`: expected \`host\`, \`host:port\` or \`[address]:port\`` }
    : { host, port: number };
}

function optionsFrom(query: string): Options | Problem {
  const given = [...new URLSearchParams(query)];
  const unknown = given.find(([name]) => !OPTIONS.some((known) => known === name));
  if (unknown !== undefined) {
    return {
      problem: `has the option \`${unknown[0]}\`: expected one of ${OPTIONS.map((name) => `\`${name}\``).join(', ')}`,
    };
  }
  const relative = given.find(([name, value]) => !NO_PATHS.has(name) && !isAbsolute(value));
  if (relative !== undefined) return { problem: `has \`${relative[0]}=${relative[1]}\`: expected an absolute path` };
  return Object.fromEntries(given);
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
