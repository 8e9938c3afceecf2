import { page } from '../../lib/page'
import { DeviceScreen } from '../../screens/device'

page((app, show) => new DeviceScreen(app, show))
