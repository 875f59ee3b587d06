/** One condition of readiness: `null` when it is met, otherwise what is missing, in words. */
export interface Gate {
  readonly name: string;
  readonly problem: () => string | null;
}

/** The gates that are not met now, each as `name: what is missing`; empty when the process is ready. */
export const unmetGates = (gates: readonly Gate[]): readonly string[] =>
  gates.flatMap((gate) => {
    const problem = gate.problem();
    return problem === null ? [] : [`${gate.name}: ${problem}`];
  });
