/** An instant as findings show it. @param ms since the Unix epoch; a forged record or sample may say anything */
export const instant = (ms: number): string =>
  Number.isNaN(new Date(ms).getTime()) ? 'an unknown time' : new Date(ms).toISOString();
