import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { Authority } from '../../../core/state/authority.ts';
import type { LimitPeak } from '../../../core/state/limit-use.ts';

/** The state whose limits are watched, and the callback for the figures. */
export interface LimitWatch {
  readonly authority: Pick<Authority, 'limitPeaks'>;
  readonly after: After;
  /** Called with how far each limit is used. It must not throw. */
  readonly onPeaks: (peaks: readonly LimitPeak[]) => void;
}

/** How old the figures may be. */
const EVERY_MS = 10_000;

/** Reads how far limits are used, every 10 s. A state that cannot be read leaves the figures as they were. The returned function ends it. */
export function watchLimits({ after, authority, onPeaks }: LimitWatch): () => void {
  let isClosed = false;
  let cancel: (() => void) | null = null;
  const look = async (): Promise<void> => {
    const peaks = await authority.limitPeaks();
    // It may have been ended meanwhile.
    if (isClosed) return;
    if (!isStoreFailure(peaks)) onPeaks(peaks);
    cancel = after(EVERY_MS, () => void look());
  };
  cancel = after(EVERY_MS, () => void look());
  return () => {
    isClosed = true;
    cancel?.();
  };
}
