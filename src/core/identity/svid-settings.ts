import type { Ports } from '../runtime/ports.ts';
import type { SpiffeId } from './spiffe-id.ts';
import type { HeldSvidOptions } from './held-svid.ts';
import { SvidFileSource, type SvidFiles } from './svid-files.ts';
import type { SvidProblem, SvidSource } from './svid.ts';
import type { WantedSvid } from './workload-api-response.ts';

/** The source of this process's SVID. */
export type SvidSettings =
  | ({ readonly kind: 'workload-api'; /** gRPC target. */ readonly target: string } & WantedSvid)
  | ({ readonly kind: 'files' } & SvidFiles);

/** The fields of the `svid` section; `null` if absent. */
export interface SvidFields {
  /** gRPC target of the Workload API, from `workloadApiTargetFrom`. */
  readonly workloadApi: string | null;
  /** With `workloadApi`: the wanted identity, if there are several. */
  readonly id: SpiffeId | null;
  readonly hint: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
  readonly bundle: string | null;
}

/** Combines the fields: either the Workload API or three files, never parts of both. */
export function svidSettingsFrom(fields: SvidFields): SvidSettings | SvidProblem {
  const { workloadApi, id, hint, certificate, key, bundle } = fields;
  const hasFile = certificate !== null || key !== null || bundle !== null;
  if (workloadApi !== null) {
    return hasFile
      ? { problem: 'must have either `workloadApi` or `certificate`, `key` and `bundle`, not both' }
      : { kind: 'workload-api', target: workloadApi, id, hint };
  }
  if (certificate === null || key === null || bundle === null) {
    return { problem: 'must have `workloadApi`, or `certificate`, `key` and `bundle`' };
  }
  return id === null && hint === null
    ? { kind: 'files', certificate, key, bundle }
    : { problem: 'may have `id` and `hint` only with `workloadApi`' };
}

/** What a source needs, whatever its kind. */
export interface SvidSourceOptions {
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Runs something once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** @see HeldSvidOptions.onProblem */
  readonly onProblem?: HeldSvidOptions['onProblem'];
  /** @see HeldSvidOptions.onRefused */
  readonly onRefused?: HeldSvidOptions['onRefused'];
}

/** Opens the configured source. It may not have an SVID yet: `firstSvid` waits for one. `close` ends it. */
export async function openSvidSource(settings: SvidSettings, options: SvidSourceOptions): Promise<SvidSource> {
  if (settings.kind === 'files') return SvidFileSource.open({ ...settings, ...options });
  // Loaded here alone: it brings gRPC.
  const { WorkloadApiSource } = await import('./workload-api.ts');
  return new WorkloadApiSource({ ...settings, ...options });
}
