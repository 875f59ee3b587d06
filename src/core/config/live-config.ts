import { changedKeys } from './changed-keys.ts';
import type { Config, ReadConfig } from './config.ts';

const LIVE = ['log', 'decisionLog', 'drainSeconds', 'endedTasks', 'enforcement', 'telemetry'] as const;
const LIVE_OF_ISSUER = [
  'tokenSeconds',
  'taskSeconds',
  'idleSeconds',
  'stoppedTaskWaitSeconds',
  'context',
  'contextWriters',
  'introspectors',
  'operators',
] as const;

const LIVE_OF_EXT_AUTHZ = ['callers'] as const;

/** Settings that can change while the process serves. Live keys have their latest values, all others those of the start. */
export type LiveSettings = Pick<Config, (typeof LIVE)[number] | 'issuer'> & {
  readonly extAuthz: Pick<Config['extAuthz'], (typeof LIVE_OF_EXT_AUTHZ)[number]>;
};

/** What a reload of the configuration changed, by key. */
export interface AppliedKeys {
  /** Keys that apply now. */
  readonly applied: readonly string[];
  /** Keys that apply after a restart. */
  readonly waiting: readonly string[];
}

/** The configuration of a process. Its live keys can change while the process serves. */
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

  /**
   * Applies a configuration that was read again. A key that waits for a restart is named each time, until it has its old value again or the
   * process restarts.
   */
  take(read: ReadConfig): AppliedKeys {
    const applied = changedKeys(this.#read.written, read.written).filter(isLive);
    const waiting = changedKeys(this.#started.written, read.written).filter((key) => !isLive(key));
    this.#read = read;
    const { issuer } = read.value;
    const { issuer: started } = this.#started.value;
    // A section that was added or removed waits for a restart as a whole.
    const served =
      started === null || issuer === null ? this.#now.issuer : { ...started, ...picked(issuer, LIVE_OF_ISSUER) };
    const extAuthz = picked(read.value.extAuthz, LIVE_OF_EXT_AUTHZ);
    this.#now = Object.freeze({ ...picked(read.value, LIVE), extAuthz, issuer: served });
    return { applied, waiting };
  }
}

function picked<T, Key extends keyof T>(from: T, keys: readonly Key[]): Pick<T, Key> {
  // Safe: every key is copied.
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, Key>;
}

const isLive = (key: string): boolean => {
  const [first = '', second = ''] = key.split('.');
  if (isOneOf(LIVE, first)) return true;
  return (
    (first === 'issuer' && isOneOf(LIVE_OF_ISSUER, second)) ||
    (first === 'extAuthz' && isOneOf(LIVE_OF_EXT_AUTHZ, second))
  );
};

const isOneOf = (names: readonly string[], name: string): boolean => names.includes(name);
