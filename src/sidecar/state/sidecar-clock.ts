import type { Clocks } from '../../core/runtime/ports.ts';
import { ClockFloor } from '../../core/state/clock-floor.ts';
import type { ClockSources } from '../../core/state/clock-floor.ts';

/**
 * The clocks of a sidecar, which keeps no floor on disk: its floor is the wall clock when it starts, and never before the floor of an
 * authority.
 */
export class SidecarClock {
  readonly #floor: ClockFloor;

  constructor(sources: ClockSources) {
    this.#floor = new ClockFloor(sources, { floorMs: 0, boot: null });
  }

  /** One reading of all clocks. */
  read(): Clocks {
    return this.#floor.read();
  }

  /** The floor of an authority, a moment ago. Milliseconds since the Unix epoch. */
  heard(nowMs: number): void {
    this.#floor.raise(nowMs);
  }
}
