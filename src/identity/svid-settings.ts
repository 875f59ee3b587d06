import type { Ports } from '../runtime/ports.ts';
import type { SpiffeId } from './spiffe-id.ts';
import { SvidFileSource, type SvidFiles } from './svid-files.ts';
import type { SvidProblem, SvidSource } from './svid.ts';
import { WorkloadApiSource } from './workload-api.ts';
import type { WantedSvid } from './workload-api-response.ts';

/** Where this process has its SVID from. */
export type SvidSettings =
  | ({ readonly kind: 'workload-api'; /** gRPC target. */ readonly target: string } & WantedSvid)
  | ({ readonly kind: 'files' } & SvidFiles);

/** The fields of the `svid` section; `null` is one that is not given. */
export interface SvidFields {
  /** gRPC target of the Workload API, from `workloadApiTargetFrom`. */
  readonly workloadApi: string | null;
  /** With `workloadApi`: the identity that is meant, where there are several. */
  readonly id: SpiffeId | null;
  readonly hint: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
  readonly bundle: string | null;
}

/** What the fields say together: the Workload API or three files, never a part of both. */
export function svidSettingsFrom(fields: SvidFields): SvidSettings | SvidProblem {
  const { workloadApi, id, hint, certificate, key, bundle } = fields;
  const hasFile = certificate !== null || key !== null || bundle !== null;
  if (workloadApi !== null) {
    return hasFile
      ? { problem: 'has either `workloadApi` or `certificate`, `key` and `bundle`, not both' }
      : { kind: 'workload-api', target: workloadApi, id, hint };
  }
  if (certificate === null || key === null || bundle === null) {
    return { problem: 'must have `workloadApi`, or `certificate`, `key` and `bundle`' };
  }
  return id === null && hint === null
    ? { kind: 'files', certificate, key, bundle }
    : { problem: 'has `id` and `hint` with `workloadApi` alone' };
}

/** What a source works with, wherever its SVID comes from. */
export interface SvidSourceOptions {
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Runs something once, `delayMs` from now; the result takes that back. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Told of a problem when it begins or changes, for a log. Holds nothing secret. */
  readonly onProblem?: (problem: string) => void;
}

/** Opens the source that the settings name. It may have no SVID yet: `firstSvid` waits for it. `close` ends it. */
export async function openSvidSource(settings: SvidSettings, options: SvidSourceOptions): Promise<SvidSource> {
  return settings.kind === 'files'
    ? SvidFileSource.open({ ...settings, ...options })
    : new WorkloadApiSource({ ...settings, ...options });
}
