// The time as Detector has it: ages are told by its clock, not by the reader's, which may be wrong.

let ahead = 0;

export const clock = {
  /** Seconds since 1970. */
  now: () => Date.now() / 1000 + ahead,
  /** Detector says that it is `now`. */
  set(now) {
    if (Number.isFinite(now)) ahead = now - Date.now() / 1000;
  },
};
