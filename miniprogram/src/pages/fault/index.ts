import { page } from '../../lib/page'
import { FaultScreen } from '../../screens/fault'

page((app, show) => new FaultScreen(app, show))
