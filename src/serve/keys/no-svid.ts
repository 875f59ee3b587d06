import { access } from 'node:fs/promises';
import type { Config } from '../../core/config/config.ts';
import type { SvidSource } from '../../core/identity/svid.ts';

/** A source that never has an SVID, and says why. A rehearsal uses it instead of waiting for a Workload API that is not there. */
export class NoSvid implements SvidSource {
  readonly #problem: string;

  constructor(problem: string) {
    this.#problem = problem;
  }

  current(): null {
    return null;
  }

  problem(): string {
    return this.#problem;
  }

  refusal(): null {
    return null;
  }

  onChange(): () => void {
    return () => undefined;
  }

  close(): void {}
}

const SOCKET = /^unix:(?:\/\/)?(\/.*)$/;

/** Why no SVID can come at the moment: the Workload API is at a Unix socket that does not exist. `null` if an SVID may come. */
export async function missingWorkloadApi({ svid }: Pick<Config, 'svid'>): Promise<string | null> {
  const [, path] = (svid?.kind === 'workload-api' ? SOCKET.exec(svid.target) : null) ?? [];
  if (path === undefined) return null;
  const exists = await access(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT',
  );
  return exists ? null : `there is no Workload API at \`${path}\``;
}
