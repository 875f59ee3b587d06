import type { ClassId } from './evidence-class.ts';

/**
 * How far Remit covers a control: `enforces` decides by it at each call and records that; `evidences` records what a reviewer
 * looks for; `partial` does so for a part, which `limit` names; `none` records nothing of it.
 */
export type ControlCoverage = 'enforces' | 'evidences' | 'partial' | 'none';

/** A control of a framework, and what a ledger can show of it. */
export interface Control {
  /** As the framework writes it; a label if the framework has no ids. */
  readonly id: string;
  readonly title: string;
  readonly coverage: ControlCoverage;
  /** Empty if `coverage` is `none`. */
  readonly classes: readonly ClassId[];
  /** What the evidence does not show. */
  readonly limit: string;
  /** Other names of the control, with how reliable they are. */
  readonly aliases: readonly { readonly id: string; readonly source: string }[];
}

/** A framework of controls. */
export interface Framework {
  /** The value of `--framework`. */
  readonly id: string;
  readonly title: string;
  readonly version: string;
  /** The publication from which ids and titles are taken. */
  readonly source: string;
  /** When that publication appeared, ISO 8601, to the day, the month or the year. */
  readonly date: string;
  readonly controls: readonly Control[];
}
