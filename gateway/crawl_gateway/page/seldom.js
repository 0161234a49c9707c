/** Things that many events ask for, done for all of them together. */

/**
 * Make something that can be asked for at any time and is done soon, but once in a while at most.
 * @param {() => Promise<unknown>} act which fails never.
 * @param {AbortSignal} signal after which it is not done any more.
 * @param {number} [ms]
 * @returns {() => void}
 */
export function seldom(act, signal, ms = 1000) {
  let asked = false;
  let busy = false;
  const work = async () => {
    busy = true;
    while (asked && !signal.aborted) {
      asked = false;
      await act();
      await new Promise((resolve) => {
        setTimeout(resolve, ms);
      });
    }
    busy = false;
  };
  return () => {
    asked = true;
    if (!busy) work();
  };
}
