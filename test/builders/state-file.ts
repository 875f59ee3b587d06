import { randomBytes } from 'node:crypto';
import type { ClockSources } from '../../src/core/state/clock-floor.ts';
import { openStore } from '../../src/authority/state/sqlite/open-store.ts';
import type { StoreOptions } from '../../src/authority/state/sqlite/open-store.ts';
import type { Store } from '../../src/core/state/store.ts';
import { must } from './must.ts';

/** Clocks that agree: what passes on the wall clock passes on the monotonic one. */
export const agreeing = (nowMs: () => number = () => 1_000): ClockSources => ({ nowMs, monotonicMs: nowMs });

/** The store of a state file that must open. */
export const mustOpen = (path: string, options: Partial<StoreOptions> = {}): Store =>
  must(openStore(path, { ...agreeing(options.nowMs), randomBytes, ...options }));
