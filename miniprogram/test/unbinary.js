// After them: what was built for them alone.
'use strict'
module.exports = async () => {
  if (process.env.UNLATCH_BIN_BUILT) require('fs').rmSync(process.env.UNLATCH_BIN_BUILT, { recursive: true, force: true })
}
