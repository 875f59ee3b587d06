import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { configFrom, configProblemText } from '../../../core/config/config.ts';
import type { Config } from '../../../core/config/config.ts';
import { addressText } from '../../../core/config/values.ts';
import { remitVersion } from '../../../core/config/version.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import type { Collected } from '../facts.ts';
import { adminAddressFrom } from './admin-address.ts';
import type { AdminAddress } from './admin-address.ts';
import { MAX_SAMPLES, unreadLinesIn } from './exposition.ts';
import { askedRemit } from './remit-admin.ts';
import type { AskedRemit } from './remit-admin.ts';
import { remitHost } from './remit-host.ts';

/** Which Remit is examined. */
export interface RemitQuery {
  /** Its admin address; `null` for that of its configuration. */
  readonly admin: AdminAddress | null;
  /** Its configuration; `null` for the default file, which need not exist, and which is not read if `admin` is given. */
  readonly config: string | null;
  /** Whether the operator named its categories, so that a missing configuration is a problem. */
  readonly isWanted: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

const DEFAULT_CONFIG = '/etc/remit/remit.yaml';
const NOTHING: Collected = { facts: {}, examined: [], unread: [], parts: [] };

/** Reads what a Remit says at its admin address, and what its configuration names on this machine. */
export async function collectRemit(query: RemitQuery): Promise<Collected> {
  const config = await configOf(query);
  if (isProblem(config)) return { ...NOTHING, unread: [config.problem] };
  const admin = query.admin ?? (config === null ? null : adminIn(config));
  if (admin === null) {
    const problem = `no Remit: \`${DEFAULT_CONFIG}\` does not exist; --config or --remit names one`;
    return { ...NOTHING, unread: query.isWanted ? [problem] : [] };
  }
  const [live, host] = await Promise.all([askedRemit(admin), config === null ? null : remitHost(config)]);
  const facts = {
    remit: { live: isProblem(live) ? null : live, host, nowMs: query.nowMs, version: remitVersion() },
  };
  const examinedLive = isProblem(live) ? [] : [`Remit ${versionIn(live)} at ${live.admin}`];
  const examinedHost = config === null ? [] : [`what ${config.file} names on this machine`];
  return {
    facts,
    examined: [...examinedLive, ...examinedHost],
    unread: isProblem(live) ? [live.problem] : unreadOf(live),
    parts: isProblem(live) ? [] : [{ name: 'remit-metrics.txt', text: live.metrics }],
  };
}

/** What a Remit says beyond the bound of what is read. */
function unreadOf({ admin, metrics }: AskedRemit): readonly string[] {
  const lines = unreadLinesIn(metrics);
  return lines === 0
    ? []
    : [`Remit at \`${admin}\` has more than ${MAX_SAMPLES} samples of metrics: the last ${lines} were not read`];
}

const versionIn = ({ samples }: Pick<Exclude<Awaited<ReturnType<typeof askedRemit>>, Problem>, 'samples'>): string =>
  samples.get('remit_build_info')?.[0]?.labels.get('version') ?? 'of an unknown version';

/** The configuration; `null` if no file was named and the default file does not exist, or if only an address was named. */
async function configOf({ admin, config, environment }: RemitQuery): Promise<Config | Problem | null> {
  if (config === null && admin !== null) return null;
  const file = resolve(config ?? DEFAULT_CONFIG);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text !== 'string') {
    return config === null && text.code === 'ENOENT'
      ? null
      : { problem: `the configuration \`${file}\` cannot be read: ${text.code ?? 'unknown error'}` };
  }
  const read = configFrom(text, { file, folder: dirname(file), environment });
  return 'problems' in read ? { problem: read.problems.map(configProblemText).join('; ') } : read.value;
}

/**
 * The admin address of the default configuration, as a command takes it: the private socket if it is configured. `null` if there is no such
 * configuration, or it cannot be read.
 */
export async function configuredAdmin(
  environment: RemitQuery['environment'],
  file = DEFAULT_CONFIG,
): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch(() => null);
  const read = text === null ? null : configFrom(text, { file, folder: dirname(file), environment });
  const admin = read === null || 'problems' in read ? null : adminIn(read.value);
  return admin === null ? null : admin.socketPath === null ? admin.url : admin.text;
}

/** The private socket, if any, else the address; loopback if it listens on all interfaces. */
function adminIn({ admin: { listen, socket } }: Config): AdminAddress | null {
  const own =
    listen.kind === 'tcp' && (listen.host === '0.0.0.0' || listen.host === '::')
      ? { ...listen, host: '127.0.0.1' }
      : listen;
  const address = adminAddressFrom(addressText(socket ?? own));
  return isProblem(address) ? null : address;
}
