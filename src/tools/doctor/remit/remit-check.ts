import type { Finding } from '../finding.ts';
import type { RemitFacts } from './remit-facts.ts';

/** A check of one Remit. */
export interface RemitCheck {
  readonly title: string;
  /** `null` if nothing was collected that it could examine. */
  readonly run: (facts: RemitFacts) => readonly Finding[] | null;
}
