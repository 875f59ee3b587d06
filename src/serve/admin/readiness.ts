/** A condition of readiness: `null` when it is met, otherwise what is missing, in words. */
export interface Gate {
  readonly name: string;
  readonly problem: () => string | null;
  /** What is missing although the gate counts as met, and why it does; `null` or absent if it is not waived. */
  readonly waived?: () => string | null;
}

/** The unmet gates, each as `name: what is missing`; empty when ready. */
export const unmetGateTexts = (gates: readonly Gate[]): readonly string[] =>
  gates.flatMap((gate) => {
    const problem = gate.problem();
    return problem === null ? [] : [`${gate.name}: ${problem}`];
  });

/** The waived gates, each as `name: what is missing, and why it counts as met`. */
export const waivedGateTexts = (gates: readonly Gate[]): readonly string[] =>
  gates.flatMap(({ name, waived }) => {
    const why = waived?.() ?? null;
    return why === null ? [] : [`${name}: ${why}`];
  });
