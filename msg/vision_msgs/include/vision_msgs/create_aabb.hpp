// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
// Boxes without rotation from a corner and the sides, as OpenCV describes them: names and arguments are those of the
// header of this name in vision_msgs 4.

#ifndef VISION_MSGS__CREATE_AABB_HPP_
#define VISION_MSGS__CREATE_AABB_HPP_

#include <cstdint>

#include "vision_msgs/msg/bounding_box2_d.hpp"
#include "vision_msgs/msg/bounding_box3_d.hpp"

namespace vision_msgs
{

// The box whose corner with the smallest coordinates is (left, top), in pixels.
inline msg::BoundingBox2D createAABB2D(uint32_t left, uint32_t top, uint32_t width, uint32_t height)
{
  msg::BoundingBox2D box;
  box.size_x = width;
  box.size_y = height;
  box.center.position.x = left + 0.5 * box.size_x;
  box.center.position.y = top + 0.5 * box.size_y;
  return box;
}

// The box whose corner with the smallest coordinates is (min_x, min_y, min_z).
inline msg::BoundingBox3D createAABB3D(
  uint32_t min_x, uint32_t min_y, uint32_t min_z, uint32_t size_x, uint32_t size_y, uint32_t size_z)
{
  msg::BoundingBox3D box;
  box.size.x = size_x;
  box.size.y = size_y;
  box.size.z = size_z;
  box.center.position.x = min_x + 0.5 * box.size.x;
  box.center.position.y = min_y + 0.5 * box.size.y;
  box.center.position.z = min_z + 0.5 * box.size.z;
  box.center.orientation.w = 1.0;
  return box;
}

}  // namespace vision_msgs

#endif  // VISION_MSGS__CREATE_AABB_HPP_
