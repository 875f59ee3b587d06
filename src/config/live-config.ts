import { changedKeys } from './changed-keys.ts';
import type { Config, ReadConfig } from './config.ts';
import type { IssuerConfig } from './issuer.ts';

const LIVE = ['log', 'decisionLog', 'drainSeconds', 'endedTasks'] as const;
const LIVE_OF_ISSUER = [
  'tokenSeconds',
  'taskSeconds',
  'idleSeconds',
  'context',
  'contextWriters',
  'introspectors',
  'operators',
] as const;

/** What of a configuration can change while the process serves: the live keys as they were read last, all others as at the start. */
export type LiveSettings = Pick<Config, (typeof LIVE)[number] | 'issuer'>;

/** The live keys of the section `issuer`: the same names as in `LIVE_OF_ISSUER`. */
const liveOfIssuer = ({
  tokenSeconds,
  taskSeconds,
  idleSeconds,
  context,
  contextWriters,
  introspectors,
  operators,
}: IssuerConfig): Pick<IssuerConfig, (typeof LIVE_OF_ISSUER)[number]> => ({
  tokenSeconds,
  taskSeconds,
  idleSeconds,
  context,
  contextWriters,
  introspectors,
  operators,
});

/** What became of a configuration that was read again, by its keys. */
export interface AppliedKeys {
  /** These hold now. */
  readonly applied: readonly string[];
  /** These hold once the process was started again. */
  readonly waiting: readonly string[];
}

/** The configuration of a process, whose live keys can change while it serves. */
export class LiveConfig {
  readonly #started: ReadConfig;
  #read: ReadConfig;
  #now: LiveSettings;

  constructor(started: ReadConfig) {
    this.#started = started;
    this.#read = started;
    this.#now = started.value;
  }

  get now(): LiveSettings {
    return this.#now;
  }

  /** Takes in what was read again. A key that waits for a restart is named each time, until it is as it was or the process starts again. */
  take(read: ReadConfig): AppliedKeys {
    const applied = changedKeys(this.#read.written, read.written).filter(isLive);
    const waiting = changedKeys(this.#started.written, read.written).filter((key) => !isLive(key));
    this.#read = read;
    const { log, decisionLog, drainSeconds, endedTasks, issuer } = read.value;
    const { issuer: started } = this.#started.value;
    // A section that is new, or gone, waits as a whole.
    const served = started === null || issuer === null ? this.#now.issuer : { ...started, ...liveOfIssuer(issuer) };
    this.#now = Object.freeze({ log, decisionLog, drainSeconds, endedTasks, issuer: served });
    return { applied, waiting };
  }
}

const isLive = (key: string): boolean => {
  const [first = '', second = ''] = key.split('.');
  return isOneOf(LIVE, first) || (first === 'issuer' && isOneOf(LIVE_OF_ISSUER, second));
};

const isOneOf = (names: readonly string[], name: string): boolean => names.includes(name);
