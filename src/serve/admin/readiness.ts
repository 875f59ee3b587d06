/** A condition of readiness: `null` when it is met, otherwise what is missing, in words. */
export interface Gate {
  readonly name: string;
  readonly problem: () => string | null;
}

/** The unmet gates, each as `name: what is missing`; empty when ready. */
export const unmetGateTexts = (gates: readonly Gate[]): readonly string[] =>
  gates.flatMap((gate) => {
    const problem = gate.problem();
    return problem === null ? [] : [`${gate.name}: ${problem}`];
  });
